"""A member that means harm. It has number 1 of its environment; 2 is its victim there, 3 another one.

Prints its tries, as JSON: the name of each, which counter is to count it (none where no frame leaves), and who may hear it all
the same. Then each line that it is sent is the name of one to make; the answer is what it has come to see by it.

    tries.py frames             what it sends
    tries.py ways FILE...       what it asks the kernel for; the files are other network namespaces
"""

import ctypes
import glob
import json
import os
import socket
import struct
import subprocess
import sys

from frames import *

LIBC = ctypes.CDLL(None, use_errno=True)
NEW_NETWORK = 0x40000000
OUTSIDE, UPLINK = "192.0.2.9", "192.0.2.1"
ME, VICTIM, THIRD = member_mac(1), member_mac(2), member_mac(3)
STRANGE = b"\x02\x00\x00\x00\x66\x66"
# Groups that bridges keep to themselves (IEEE 802.1D, table 7-10).
GROUPS = [b"\x01\x80\xc2\x00\x00" + bytes([last]) for last in range(16)]
NEAREST = GROUPS[14]
LOCAL, LOCAL_VICTIM, EVERYBODY = link_local(ME), link_local(VICTIM), "ff02::1"
wire = Wire("eth0")
TRIES = {}


def attempt(name, counter=None, hearers=()):
    def add(make):
        if (counter is None) == (sys.argv[1] == "ways"):
            TRIES[name] = (counter, hearers, make)
        return make

    return add


def frame(name, counter, *frames, hearers=()):
    attempt(name, counter, hearers)(lambda: wire.send(*frames))


def to(mac, packet, source=ME):
    return ethernet(mac, source, IPV6 if packet[0] >> 4 == 6 else IPV4, packet)


def by_arp(mac, operation, hardware, address, target=v4(2), source=ME):
    return ethernet(mac, source, ARP, arp(operation, hardware, address, bytes(6), target))


def nested(outer, *kinds):
    """The datagram with tags of virtual networks before it."""
    tags = b"".join(struct.pack("!HH", number, kind) for kind, number in kinds)
    return ethernet(VICTIM, ME, outer, tags + datagram(v4(1), v4(2)))


def under(packet, protocol, source, target):
    return (ipv6 if ":" in source else ipv4)(source, target, protocol, packet)


def run(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


# Another's identity.
frame("another member's address", "spoofed", to(VICTIM, datagram(v4(3), v4(2))))
frame("the victim's own address", "spoofed", to(VICTIM, datagram(v4(2), v4(2))))
frame("the host's address", "spoofed", to(VICTIM, datagram(HOST, v4(2))))
frame("another's address and link-layer address", "spoofed", to(VICTIM, datagram(v4(3), v4(2)), THIRD))
frame("the host's link-layer address", "spoofed", to(VICTIM, datagram(HOST, v4(2)), HOST_MAC))
frame("another member's IPv6 address", "spoofed", to(VICTIM, datagram(v6(3), v6(2))))
frame("the host's IPv6 address", "spoofed", to(VICTIM, datagram(HOST6, v6(2))))
frame("fragments with another's address", "spoofed",
      to(VICTIM, ipv4(v4(3), v4(2), UDP, udp(v4(3), v4(2))[:24], fragment=0x2000)))
frame("ARP: another's address is here", "spoofed", by_arp(VICTIM, 2, ME, v4(3)))
frame("gratuitous ARP for another's address", "spoofed", by_arp(BROADCAST, 1, ME, v4(3), v4(3)))
frame("gratuitous ARP for the host's address", "spoofed", by_arp(BROADCAST, 2, ME, HOST, HOST))
frame("ARP: its own address is elsewhere", "spoofed", by_arp(VICTIM, 2, THIRD, v4(1)))
frame("ARP for an address of the host's other network", "spoofed", by_arp(BROADCAST, 1, ME, v4(1), UPLINK))
frame("advertisement of another's IPv6 address", "spoofed",
      to(VICTIM, ipv6(v6(1), v6(2), ICMPV6, advertisement(v6(1), v6(2), v6(3), ME))))
frame("the same from another's address", "spoofed",
      to(VICTIM, ipv6(v6(3), v6(2), ICMPV6, advertisement(v6(3), v6(2), v6(3), ME))))
frame("the same behind options", "spoofed",
      to(VICTIM, ipv6(v6(1), v6(2), 60, b"\x3a\x00\x01\x04" + bytes(4)
                      + advertisement(v6(1), v6(2), v6(3), ME))))
frame("solicitation in another's name", "spoofed",
      to(VICTIM, ipv6(v6(3), v6(2), ICMPV6,
                      icmpv6(v6(3), v6(2), 135, bytes(4) + packed(v6(2)) + b"\x01\x01" + ME, OPTION))))

# Leading others elsewhere.
advert = router_advertisement(LOCAL, EVERYBODY, ME)
frame("router advertisement", "spoofed", to(b"\x33\x33\0\0\0\1", ipv6(LOCAL, EVERYBODY, ICMPV6, advert)))
frame("router advertisement whose head comes second", "spoofed",
      to(VICTIM, ipv6(LOCAL, LOCAL_VICTIM, 44, b"\x3c\0\0\1\0\0\0\x07\x3a\0\1\4" + bytes(4))),
      to(VICTIM, ipv6(LOCAL, LOCAL_VICTIM, 44, b"\x3c\0\0\x08\0\0\0\x07"
                      + router_advertisement(LOCAL, LOCAL_VICTIM, ME))))
frame("IPv6 redirect", "spoofed",
      to(VICTIM, ipv6(LOCAL, v6(2), ICMPV6, icmpv6(LOCAL, v6(2), 137, bytes(4) + packed(v6(3)) * 2))))
frame("ICMP redirect", "spoofed", to(VICTIM, ipv4(v4(1), v4(2), ICMP, icmp(5, 1, packed(v4(1)),
                                                                         datagram(v4(2), v4(3))))))
frame("DHCP offer", "spoofed", to(BROADCAST, ipv4(v4(1), "255.255.255.255", UDP,
                                                  udp(v4(1), "255.255.255.255", (67, 68)))))
frame("DHCPv6 reply", "spoofed", to(VICTIM, ipv6(LOCAL, LOCAL_VICTIM, UDP,
                                                 udp(LOCAL, LOCAL_VICTIM, (547, 546)))))
frame("source route by way of a member", "spoofed",
      to(VICTIM, ipv4(v4(1), v4(2), UDP, udp(v4(1), v4(2)), b"\x83\x07\x04" + packed(v4(1, 3)) + b"\0")))
frame("IPv6 routing header", "spoofed",
      to(VICTIM, ipv6(v6(1), v6(2), 43, b"\x11\x02\0\1" + bytes(4) + packed(v6(1, 3)) + udp(v6(1), v6(2)))))
frame("another environment by way of a member", "spoofed", to(VICTIM, datagram(v4(1), v4(1, 3))))
frame("the same with IPv6", "spoofed", to(VICTIM, datagram(v6(1), v6(1, 3))))

# Other kinds of frames.
frame("VLAN tag", "spoofed", nested(VLAN, (IPV4, 5)))
frame("priority tag", "spoofed", nested(VLAN, (IPV4, 0)))
frame("two tags", "spoofed", nested(SERVICE_VLAN, (VLAN, 5), (IPV4, 6)))
frame("experimental ethertype", "spoofed", ethernet(BROADCAST, ME, 0x88B5, MARK))
frame("spanning tree", "spoofed", ethernet(bytes.fromhex("0180c2000000"), ME, 0x0026, b"\x42\x42\x03" + MARK))
frame("LLDP", "spoofed", ethernet(NEAREST, ME, 0x88CC, MARK))


@attempt("flood of link-layer addresses", "spoofed")
def flood():
    for number in range(300):
        wire.send(to(BROADCAST, datagram(v4(1), v4(255)), STRANGE[:4] + struct.pack("!H", number)))


# The host.
for name, address in [("its place here", HOST), ("its other network", UPLINK), ("loopback", "127.0.0.1"),
                      ("its IPv6 place here", HOST6), ("all nodes", EVERYBODY)]:
    source = LOCAL if address == EVERYBODY else v6(1) if ":" in address else v4(1)
    frame(f"datagram to the host: {name}", "host", to(HOST_MAC, datagram(source, address)))
frame("multicast that the host listens to", "host",
      to(b"\1\0\x5e\0\0\xfb", datagram(v4(1), "224.0.0.251", ttl=1)), hearers=("victim", "third"))
for address in (UPLINK, HOST6):
    packet = datagram(v6(1) if address == HOST6 else v4(1), address)
    frame(f"datagram to {address} in groups that bridges keep", "spoofed", *(to(group, packet) for group in GROUPS))
frame("fragments to the host", "host",
      to(HOST_MAC, ipv4(v4(1), UPLINK, UDP, udp(v4(1), UPLINK)[:8], fragment=0x2000, ident=9)),
      to(HOST_MAC, ipv4(v4(1), UPLINK, UDP, MARK, fragment=1, ident=9)))
frame("VXLAN to the host", "host",
      to(HOST_MAC, ipv4(v4(1), UPLINK, UDP, udp(v4(1), UPLINK, (4789, 4789), b"\x08\0\0\0\0\0\1\0" + MARK))))
frame("IPv4 in IPv4 to the host", "host", to(HOST_MAC, under(datagram(v4(1), v4(1, 3)), 4, v4(1), UPLINK)))
frame("GRE to the host", "host", to(HOST_MAC, ipv4(v4(1), UPLINK, 47, b"\0\0\x08\0" + datagram(v4(1), UPLINK))))
frame("error for a socket of the host that talks with others", "host",
      to(HOST_MAC, ipv4(v4(1), UPLINK, ICMP, icmp(3, 3, bytes(4), ipv4(
          UPLINK, OUTSIDE, UDP, udp(UPLINK, OUTSIDE, (7777, PORT)))))))


@attempt("connections to the host", "host")
def connect():
    for address in (HOST, UPLINK, HOST6):
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as one:
            one.settimeout(0.05)
            if address == UPLINK:
                run("ip", "route", "replace", f"{UPLINK}/32", "via", HOST, "dev", "eth0", "onlink")
            if one.connect_ex((address, PORT)) == 0:
                return "connected"


# Other environments, and the outside.
frame("another environment by way of the host", "outside", to(HOST_MAC, datagram(v4(1), v4(1, 3))))
frame("the outside by way of the host", "outside", to(HOST_MAC, datagram(v4(1), OUTSIDE)))
frame("error for another environment's connection", "outside",
      to(HOST_MAC, ipv4(v4(1), v4(1, 3), ICMP, icmp(3, 3, bytes(4), datagram(v4(1, 3), v4(2, 3))))))


# The network as the kernel lets it be changed.
@attempt("another address of its own", "spoofed")
def address():
    run("ip", "address", "add", f"{v4(3)}/24", "dev", "eth0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((v4(3), 0))
        one.sendto(MARK, (v4(2), PORT))
    run("ip", "address", "del", f"{v4(3)}/24", "dev", "eth0")


@attempt("another link-layer address of its own", "spoofed")
def hardware():
    run("ip", "link", "set", "eth0", "address", "02:73:74:00:00:03")
    wire.send(to(VICTIM, datagram(v4(1), v4(2)), THIRD))
    run("ip", "link", "set", "eth0", "address", ME.hex(":"))


@attempt("a second link on its own, in a namespace elsewhere", "spoofed")
def macvlan():
    inside = ["ip link set lo up; ip addr add 10.10.2.66/24 dev more; ip link set more up; exec python3 -c '"
              "import socket; socket.socket(2, 2).sendto(b\"" + MARK.decode() + "\", (\"10.10.2.2\", 9))'"]
    run("ip", "link", "add", "more", "link", "eth0", "type", "macvlan", "mode", "bridge")
    read, write = os.pipe()
    child = subprocess.Popen(["unshare", "--net", "sh", "-c", f"echo; read line; {inside[0]}"],
                             stdin=read, stdout=subprocess.PIPE)
    child.stdout.readline()
    run("ip", "link", "set", "more", "netns", str(child.pid))
    os.write(write, b"\n")
    os.close(read), os.close(write)
    child.wait()


@attempt("autoconfigured IPv6 addresses", "spoofed")
def autoconfigured():
    with open("/proc/sys/net/ipv6/conf/eth0/addr_gen_mode", "w") as file:
        file.write("3")  # A random one.
    wire.send(to(VICTIM, datagram("2001:db8:6666::1", v6(2))))


@attempt("namespaces that it finds")
def enter():
    own = os.stat("/proc/self/ns/net").st_ino
    mounted = [line.split()[4] for line in open("/proc/self/mountinfo") if " - nsfs " in line]
    for path in [*glob.glob("/proc/[0-9]*/ns/net"), *glob.glob("/run/netns/*"), *mounted, *sys.argv[2:]]:
        try:
            namespace = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        if os.fstat(namespace).st_ino != own and LIBC.setns(namespace, NEW_NETWORK) == 0:
            return f"entered {path}"


@attempt("settings of links of others")
def settings():
    own = {name for _, name in socket.if_nameindex()}
    for path in glob.glob("/sys/class/net/*/mtu") + glob.glob("/proc/sys/net/ipv*/conf/*/forwarding"):
        if path.split("/")[-2] in own | {"all", "default"}:
            continue
        try:
            with open(path, "r+") as file:
                file.write(file.read())
            return f"set {path}"
        except OSError:
            pass


@attempt("the host's links by netlink, and a way out of its own")
def netlink():
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True).stdout)
    if {link["ifname"] for link in links} - {"lo", "eth0"}:
        return f"saw {links}"
    # Where the other end of its link is has a number here.
    there = str([link.get("link_netnsid") for link in links if link["ifname"] == "eth0"][0])
    for asked in (["link", "show", "target-nsid", there], ["link", "add", "way", "link-netnsid", there, "type", "veth"]):
        done = subprocess.run(["ip", *asked], capture_output=True)
        if done.returncode == 0:
            return f"{asked}: {done.stdout}"


def answers():
    """What the host has sent to it, but for finding its link-layer address."""
    for one in wire.heard():
        finding = one[12:14] == b"\x08\x06" or one[12:14] == b"\x86\xdd" and one[54] in (135, 136)
        if one[:12] == ME + HOST_MAC and not finding:
            yield one.hex()


print(json.dumps([[name, counter, hearers] for name, (counter, hearers, _) in TRIES.items()]), flush=True)
wire.heard()
for line in sys.stdin:
    came = TRIES[line.strip()][2]()
    print(json.dumps(came or list(answers()) or None), flush=True)
