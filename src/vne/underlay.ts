/** The network that connects the hosts of an environment: which address this host has there, and how large a packet may be. */

import { lookup } from "node:dns/promises";
import { StasisError } from "../../ffi/error.ts";
import { type Address, formatAddress, parseAddress } from "./subnets.ts";

/** A route of this host, as the kernel lists it. */
interface Route {
  link: string;
  version: 4 | 6;
  first: bigint;
  length: number;
  metric: number;
}

const WIDTH = { 4: 32, 6: 128 } as const;
const RTF_UP = 1;
const RTF_REJECT = 0x200;

/** What VXLAN adds to a frame of a member: IP, UDP, its own header, and the Ethernet header within. In bytes. */
const TUNNEL = { 4: 20 + 8 + 8 + 14, 6: 40 + 8 + 8 + 14 } as const;
/** What ESP with AES-GCM adds: header, initialisation vector, padding, trailer and checksum. In bytes. */
const ENCRYPTION = 40;
/** Where nothing is said of a link. */
const USUAL_MTU = 1500;

/** The address that a host has by its name; an address is one already. */
export async function addressOf(host: string): Promise<string> {
  const name = host.slice(host.lastIndexOf("@") + 1);
  const given = parseAddress(name.replace(/^\[(.*)\]$/, "$1"));
  if (given !== undefined) return formatAddress(given);
  const found = await lookup(name, { all: true }).catch((error: unknown) => {
    throw unresolved(host, error instanceof Error ? error.message : String(error));
  });
  const addresses = found.flatMap(({ address }) => parseAddress(address) ?? []);
  const [first] = addresses.filter((one) => !isLoopback(one));
  if (first !== undefined) return formatAddress(first);
  throw unresolved(
    host,
    `it means ${found.map(({ address }) => address).join(", ")}, which no other host reaches`,
  );
}

function unresolved(host: string, cause: string): StasisError {
  return StasisError.of("usage", `Could not find the address of the host "${host}"`, {
    causes: [cause],
    hint: `Say it: ${host}=ADDRESS`,
  });
}

function isLoopback({ version, value }: Address): boolean {
  return version === 4 ? value >> 24n === 127n : value === 1n;
}

/** The address from which this host reaches another one. */
export function sourceTowards(target: string): string {
  const address = parseAddress(target);
  const route = address === undefined ? undefined : routeTo(address, [...routes()]);
  const own = Deno.networkInterfaces().filter(({ name }) => name === route?.link).flatMap(
    ({ address, cidr }) => {
      const one = parseAddress(address);
      return one === undefined || one.version !== route?.version || isLinkLocal(one) ? [] : [{ one, cidr }];
    },
  );
  const length = (cidr: string) => Number(cidr.split("/")[1] ?? 0);
  const near = own.find(({ one, cidr }) => address !== undefined && isNear(one, address, length(cidr)));
  const source = (near ?? own[0])?.one;
  if (source !== undefined) return formatAddress(source);
  throw StasisError.of("usage", "Could not tell which address this host has for the others", {
    causes: [`it knows no way to ${target}`],
    hint: "Say it: --self NAME=ADDRESS",
  });
}

function isNear(one: Address, other: Address, length: number): boolean {
  const shift = BigInt(WIDTH[one.version] - length);
  return one.version === other.version && one.value >> shift === other.value >> shift;
}

function isLinkLocal({ version, value }: Address): boolean {
  return version === 6 && value >> 118n === 0x3fan;
}

function routeTo({ version, value }: Address, all: readonly Route[]): Route | undefined {
  const [best] = all.filter((route) =>
    route.version === version && value >> BigInt(WIDTH[version] - route.length) ===
      route.first >> BigInt(WIDTH[version] - route.length)
  ).toSorted((one, other) => other.length - one.length || one.metric - other.metric);
  return best;
}

/** The main table, by proc(5): addresses of IPv4 are words as they lie in memory. */
function* routes(): Generator<Route> {
  for (const line of lines("/proc/net/route").slice(1)) {
    const [link = "", to = "0", , flags = "0", , , metric = "0", mask = "0"] = line.split(/\s+/);
    const [first, bits] = [to, mask].map((hex) => swap(Number.parseInt(hex, 16)));
    if ((Number.parseInt(flags, 16) & (RTF_UP | RTF_REJECT)) !== RTF_UP) continue;
    const length = (bits ?? 0n).toString(2).replaceAll("0", "").length;
    yield { link, version: 4, first: first ?? 0n, length, metric: Number(metric) };
  }
  for (const line of lines("/proc/net/ipv6_route")) {
    const [to = "0", length = "0", , , , metric = "0", , , flags = "0", link = ""] = line.split(/\s+/);
    if ((Number.parseInt(flags, 16) & (RTF_UP | RTF_REJECT)) !== RTF_UP || link === "lo") continue;
    const first = BigInt(`0x${to}`);
    yield {
      link,
      version: 6,
      first,
      length: Number.parseInt(length, 16),
      metric: Number.parseInt(metric, 16),
    };
  }
}

function swap(word: number): bigint {
  return BigInt(
    ((word & 0xff) * 2 ** 24) + ((word >>> 8 & 0xff) << 16) + ((word >>> 16 & 0xff) << 8) + (word >>> 24),
  );
}

function lines(path: string): string[] {
  try {
    return Deno.readTextFileSync(path).split("\n").map((line) => line.trim()).filter((line) => line !== "");
  } catch {
    return [];
  }
}

/** The link of this host that has an address; undefined where none has. */
function linkWith(address: string): string | undefined {
  const wanted = parseAddress(address);
  return Deno.networkInterfaces().find((one) => {
    const own = parseAddress(one.address);
    return own?.version === wanted?.version && own?.value === wanted?.value;
  })?.name;
}

/** How many bytes a packet may have on the link with this address. Refuses an address that this host does not have. */
export function linkMtu(address: string): number {
  const link = linkWith(address);
  if (link === undefined) {
    throw StasisError.of("usage", `Could not use ${address} as the address of this host`, {
      causes: [
        `its links have ${[...new Set(Deno.networkInterfaces().map((one) => one.address))].join(", ")}`,
      ],
      hint: "Say which one the other hosts reach: NAME=ADDRESS",
    });
  }
  // Of this network namespace, whichever /sys is mounted.
  for (const path of [`/proc/sys/net/ipv6/conf/${link}/mtu`, `/sys/class/net/${link}/mtu`]) {
    const mtu = Number(lines(path)[0]);
    if (Number.isInteger(mtu) && mtu > 0) return mtu;
  }
  return USUAL_MTU;
}

/** How many bytes a packet of a member may have, so that it passes between hosts in one piece. */
export function memberMtu(linkMtu: number, address: string, encrypted: boolean): number {
  const version = parseAddress(address)?.version ?? 4;
  return linkMtu - TUNNEL[version] - (encrypted ? ENCRYPTION : 0);
}
