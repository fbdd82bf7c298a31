"""Listens where nothing may arrive. The line "heard" is answered with what has arrived since the last time, "known" with what the
kernel knows, each as JSON; "warm" has it know its neighbours.

    ear.py LINK     frames of the link, and the neighbours whose place is wrong, addresses and routes of the namespace
    ear.py host     what programs of a host get: datagrams, connections, multicast, errors for sockets of others
"""

import json
import socket
import subprocess
import sys

from frames import HOST, HOST6, HOST_MAC, MARK, PORT, Wire, link_local, member_mac, v4, v6

# Where its neighbours are.
WHERE = {HOST: HOST_MAC.hex(":"), HOST6: HOST_MAC.hex(":")}
for number in (1, 2, 3):
    for address in (v4(number), v6(number), link_local(member_mac(number))):
        WHERE[address] = member_mac(number).hex(":")


def asked(*words):
    output = subprocess.run(["ip", "-j", *words], check=True, capture_output=True).stdout
    return json.loads(output or b"[]")


class OnLink:
    def __init__(self, link):
        self.wire = Wire(link)
        # So that nobody is told that there is none.
        self.taker = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.taker.bind(("::", PORT))

    def warm(self):
        """Has the kernel know its neighbours."""
        for number in (1, 2, 3):
            self.ask(socket.AF_INET, v4(number)), self.ask(socket.AF_INET6, v6(number))
        self.ask(socket.AF_INET, HOST), self.ask(socket.AF_INET6, HOST6)

    def ask(self, family, address):
        with socket.socket(family, socket.SOCK_DGRAM) as any_:
            try:
                any_.sendto(b"warm", (address, PORT))
            except OSError:
                pass  # Its own network has no such neighbour.

    def heard(self):
        return [frame.hex() for frame in self.wire.heard() if MARK in frame]

    def known(self):
        near = {one["dst"]: one["lladdr"] for one in asked("neigh") if "lladdr" in one}
        misled = {address: mac for address, mac in near.items() if WHERE.get(address, mac) != mac}
        addresses = [found["local"] for one in asked("addr") for found in one["addr_info"]]
        routes = [one["dst"] for family in ("-4", "-6") for one in asked(family, "route")]
        return {"misled": misled, "own": sorted(addresses) + sorted(routes)}


class OnHost:
    """`other` is a socket that talks with somebody else: an error that it gets is not meant for it."""

    def __init__(self):
        self.datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.datagrams.bind(("::", PORT))
        self.listener = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True)
        self.raw = [socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) for protocol in (1, 2, 4, 47)]
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind(("192.0.2.1", 7777))
        self.other.connect(("192.0.2.9", PORT))
        for one in (self.datagrams, self.listener, self.other, *self.raw):
            one.setblocking(False)

    def warm(self):
        """Hears multicast on every link."""
        self.group = any_ = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        any_.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for number, _ in socket.if_nameindex():
            request = socket.inet_aton("224.0.0.251") + bytes(4) + number.to_bytes(4, sys.byteorder)
            any_.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        any_.bind(("224.0.0.251", PORT))
        any_.setblocking(False)

    def heard(self):
        heard = []
        for one in (self.datagrams, self.group, *self.raw):
            heard += [data.hex() for data in self.all(lambda: one.recv(65536)) if MARK in data]
        heard += ["a connection" for _ in self.all(self.listener.accept)]
        error = self.other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.other.send(b"hello")
        return heard + (["an error for another's socket"] if error else [])

    def known(self):
        return {}

    @staticmethod
    def all(take):
        while True:
            try:
                yield take()
            except BlockingIOError:
                return
            except OSError as error:
                yield f"{MARK}: {error}".encode()
                return


here = OnHost() if sys.argv[1] == "host" else OnLink(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(getattr(here, line.strip())()), flush=True)
