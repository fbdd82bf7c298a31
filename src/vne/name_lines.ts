/** Which names and addresses the members of an environment see. */

import type { Named } from "./arrivals.ts";
import { hostNameOf, isListable } from "./hostnames.ts";
import type { Line } from "./hosts_file.ts";
import { numberOf, parseAddress, parseSubnet } from "./subnets.ts";

/** A member as hosts tell each other. */
export interface NamedMember extends Named {
  running: boolean;
}

/**
 * Lines for members, those that come first before the others. An address is that of whoever runs there; one that has ended is
 * left out where another one has its name.
 */
export function linesFor(environment: { subnets: readonly string[] }, known: readonly NamedMember[]): Line[] {
  const subnets = environment.subnets.map(parseSubnet);
  const isOfIt = (text: string) => {
    const address = parseAddress(text);
    return address !== undefined && subnets.some((subnet) => numberOf(subnet, address) !== undefined);
  };
  const listed: Named[] = [];
  const addresses = new Set<string>();
  const names = new Set<string>();
  for (const member of known.toSorted((one, other) => Number(other.running) - Number(one.running))) {
    const own = member.addresses.filter((one) => isOfIt(one) && !addresses.has(one));
    const isReplaced = !member.running && names.has(member.name);
    if (own.length === 0 || isReplaced) continue;
    own.forEach((one) => addresses.add(one));
    names.add(member.name);
    listed.push({ ...member, addresses: own });
  }
  return linesOf(listed);
}

/** Names first: a host name that is another's name does not stand in its way. */
function linesOf(listed: readonly Named[]): Line[] {
  const lines: Line[] = [];
  const taken = new Set<string>();
  for (const { name, addresses } of listed) {
    const known = hostNameOf(name);
    if (known === undefined) continue;
    taken.add(known);
    lines.push(...addresses.map((address) => ({ address, name: known })));
  }
  for (const { hostname, addresses } of listed) {
    if (hostname === undefined || taken.has(hostname) || !isListable(hostname)) continue;
    lines.push(...addresses.map((address) => ({ address, name: hostname })));
  }
  return lines;
}
