/** Ranges of addresses, and addresses as numbers. */

import { StasisError } from "../../ffi/error.ts";

type Version = 4 | 6;

export interface Address {
  version: Version;
  value: bigint;
}

/** A network and the length of its prefix: `10.10.2.0/24`. The bits behind the prefix are 0. */
export interface Subnet {
  version: Version;
  first: bigint;
  length: number;
}

const WIDTH: Readonly<Record<Version, number>> = { 4: 32, 6: 128 };

/** Reads an address; undefined when it is none. */
export function parseAddress(text: string): Address | undefined {
  if (text.includes(":")) return parseV6(text);
  const parts = text.split(".");
  const sound = parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  if (!sound) return undefined;
  return { version: 4, value: parts.reduce((sum, part) => sum << 8n | BigInt(part), 0n) };
}

function parseV6(text: string): Address | undefined {
  const halves = text.split("::");
  const groups = halves.map((half) => half === "" ? [] : half.split(":"));
  const [left = [], right] = groups;
  const missing = 8 - left.length - (right?.length ?? 0);
  const hasRoom = right === undefined ? missing === 0 : missing > 0;
  const all = [...left, ...Array.from({ length: Math.max(0, missing) }, () => "0"), ...(right ?? [])];
  if (groups.length > 2 || !hasRoom || !all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) {
    return undefined;
  }
  return { version: 6, value: all.reduce((sum, group) => sum << 16n | BigInt(`0x${group}`), 0n) };
}

/** An address as one writes it: IPv6 with its longest run of zeroes left out (RFC 5952). */
export function formatAddress({ version, value }: Address): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => value >> shift & 255n).join(".");
  const groups = Array.from(
    { length: 8 },
    (_, index) => (value >> BigInt(112 - 16 * index) & 0xffffn).toString(16),
  );
  const text = groups.join(":");
  const runs = [...text.matchAll(/(?<![^:])0(:0)+(?![^:])/g)].sort((one, other) =>
    other[0].length - one[0].length
  );
  const [longest] = runs;
  if (longest === undefined) return text;
  const left = text.slice(0, longest.index).replace(/:$/, "");
  return `${left}::${text.slice(longest.index + longest[0].length).replace(/^:/, "")}`;
}

/** Reads a range that the user gave. */
export function parseSubnet(text: string): Subnet {
  const [network = "", length = ""] = text.split("/");
  const address = parseAddress(network);
  const bits = /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (address === undefined || text.split("/").length !== 2 || bits < 0 || bits > WIDTH[address.version]) {
    throw StasisError.of("usage", `Could not understand the range "${text}"`, {
      hint: "Write it as 10.10.2.0/24 or fd73:7461:7369:2::/64",
    });
  }
  const subnet = {
    version: address.version,
    first: address.value & maskOf(address.version, bits),
    length: bits,
  };
  if (subnet.first === address.value) return subnet;
  throw StasisError.of("usage", `Could not use the range "${text}"`, {
    causes: ["there are bits set behind its prefix"],
    hint: `Write ${formatSubnet(subnet)} for the whole range, or ${network}/${
      WIDTH[address.version]
    } for one address`,
  });
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress({ version: subnet.version, value: subnet.first })}/${subnet.length}`;
}

function maskOf(version: Version, length: number): bigint {
  const width = BigInt(WIDTH[version]);
  return (1n << width) - (1n << width - BigInt(length));
}

/** How many addresses there are in a range. */
function sizeOf({ version, length }: Subnet): bigint {
  return 1n << BigInt(WIDTH[version] - length);
}

/** How far an address lies behind the first one of a range; undefined where it is not in it. */
export function numberOf(subnet: Subnet, address: Address): bigint | undefined {
  const number = address.value - subnet.first;
  return address.version === subnet.version && number >= 0n && number < sizeOf(subnet) ? number : undefined;
}

export function isWithin(inner: Subnet, outer: Subnet): boolean {
  return inner.length >= outer.length &&
    numberOf(outer, { version: inner.version, value: inner.first }) !== undefined;
}

export function overlap(one: Subnet, other: Subnet): boolean {
  return isWithin(one, other) || isWithin(other, one);
}

/**
 * The numbers, first and last, that members of a range can have. The first address of a larger one is that of the network
 * itself or of its routers, the last one of IPv4 is for all of them.
 */
export function memberNumbers(subnet: Subnet): [first: bigint, last: bigint] {
  const size = sizeOf(subnet);
  if (size <= 2n) return [0n, size - 1n];
  return [1n, subnet.version === 4 ? size - 2n : size - 1n];
}
