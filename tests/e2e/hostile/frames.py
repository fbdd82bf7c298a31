"""Frames and packets made by hand, with lengths and checksums as they should be: a victim would take them."""

import fcntl
import socket
import struct

MARK = b"from the hostile member"
# The same as an option of neighbour discovery (RFC 4727).
OPTION = b"\xfd\x04" + MARK.ljust(30, b"\0")
ARP, IPV4, IPV6, VLAN, SERVICE_VLAN = 0x0806, 0x0800, 0x86DD, 0x8100, 0x88A8
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
BROADCAST = b"\xff" * 6
HOST_MAC = bytes.fromhex("027374ffffff")
HOST, HOST6 = "169.254.77.1", "fd73:7461:7369:ffff::1"
PORT = 9


def member_mac(number):
    return b"\x02\x73\x74" + number.to_bytes(3, "big")


def v4(number, network=2):
    return f"10.10.{network}.{number}"


def v6(number, network=2):
    return f"fd73:7461:7369:{network}::{number}"


def link_local(mac):
    return socket.inet_ntop(
        socket.AF_INET6,
        b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:],
    )


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def checksum(data):
    data += b"\x00" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", total ^ 0xFFFF)


def pseudo(source, target, protocol, length):
    if ":" in source:
        return packed(source) + packed(target) + struct.pack("!IxxxB", length, protocol)
    return packed(source) + packed(target) + struct.pack("!xBH", protocol, length)


def ethernet(target, source, kind, body):
    return (target + source + struct.pack("!H", kind) + body).ljust(60, b"\x00")


def arp(operation, mac, address, target_mac, target):
    head = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    return head + mac + packed(address) + target_mac + packed(target) + MARK


def ipv4(source, target, protocol, body, options=b"", fragment=0, ident=7, ttl=64):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBB", 0x40 | words, 0, words * 4 + len(body), ident, fragment, ttl, protocol)
    addresses = packed(source) + packed(target)
    sum_ = checksum(head + b"\x00\x00" + addresses + options)
    return head + sum_ + addresses + options + body


def ipv6(source, target, following, body, hops=255):
    return struct.pack("!IHBB", 6 << 28, len(body), following, hops) + packed(source) + packed(target) + body


def udp(source, target, ports=(PORT, PORT), body=MARK):
    head = struct.pack("!HHH", *ports, 8 + len(body))
    sum_ = checksum(pseudo(source, target, UDP, 8 + len(body)) + head + b"\x00\x00" + body)
    return head + sum_ + body


def icmp(kind, code, rest, body=MARK):
    head = bytes([kind, code])
    return head + checksum(head + b"\x00\x00" + rest + body) + rest + body


def icmpv6(source, target, kind, rest, body=MARK):
    head, tail = bytes([kind, 0]), rest + body
    length = 4 + len(tail)
    return head + checksum(pseudo(source, target, ICMPV6, length) + head + b"\x00\x00" + tail) + tail


def datagram(source, target, **more):
    """A UDP datagram in a packet of the family of its addresses."""
    packet = ipv6 if ":" in source else ipv4
    return packet(source, target, UDP, udp(source, target), **more)


def advertisement(source, target, about, mac):
    """Neighbour advertisement: solicited, override; the option says whose link-layer address it is."""
    rest = struct.pack("!I", 0x60000000) + packed(about) + b"\x02\x01" + mac
    return icmpv6(source, target, 136, rest, OPTION)


def router_advertisement(source, target, mac):
    """A default router, and a prefix to make addresses of."""
    prefix = b"\x03\x04\x40\xc0" + struct.pack("!IIx3x", 3600, 3600) + packed("2001:db8:6666::")
    return icmpv6(source, target, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + b"\x01\x01" + mac + prefix, OPTION)


def mac_of(link):
    SIOCGIFHWADDR = 0x8927
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_:
        return fcntl.ioctl(any_, SIOCGIFHWADDR, struct.pack("16s24x", link.encode()))[18:24]


class Wire:
    """A link, as the network card has it."""

    def __init__(self, link):
        everything = socket.htons(3)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, everything)
        self.socket.bind((link, 3))
        self.socket.setblocking(False)

    def send(self, *frames):
        for frame in frames:
            self.socket.send(frame)

    def heard(self):
        """What has arrived since the last time."""
        frames = []
        while True:
            try:
                frame, (_, _, direction, _, _) = self.socket.recvfrom(65536)
            except BlockingIOError:
                return frames
            if direction != socket.PACKET_OUTGOING:
                frames.append(frame)
