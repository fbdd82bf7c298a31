/** Hosts as people write them. */

import { StasisError } from "../../ffi/error.ts";
import { newId } from "../catalog/names.ts";
import type { Host } from "./span.ts";
import { parseAddress } from "./subnets.ts";
import { addressOf, linkMtu, sourceTowards } from "./underlay.ts";

/** A host as it is written: `HOST` or `HOST=ADDRESS`. */
interface Written {
  word: string;
  address?: string;
}

export function readHost(text: string): Written {
  const at = text.indexOf("=");
  const [word, address] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
  const sound = /^[A-Za-z0-9][A-Za-z0-9_.:@%-]*$/.test(word) &&
    (address === undefined || parseAddress(address) !== undefined);
  if (sound) return { word, ...(address !== undefined && { address }) };
  throw StasisError.of("usage", `Could not understand the host "${text}"`, {
    hint: "Write it as HOST, or as HOST=ADDRESS with its address in the network that connects the hosts",
  });
}

/** Another host, as this one reaches it. */
export async function peerHost(text: string): Promise<Host> {
  const { word, address } = readHost(text);
  return hostOf(word, address ?? await addressOf(word));
}

/** This host, as the others reach it. */
export function ownHost(given: string | undefined, towards: string | undefined): Host {
  const { word, address } = readHost(given ?? Deno.hostname());
  const own = address ?? (towards === undefined ? undefined : sourceTowards(towards));
  if (own === undefined) {
    throw StasisError.of("usage", "Could not tell which address this host has for the others", {
      hint: "Say it: --self NAME=ADDRESS",
    });
  }
  linkMtu(own);
  return hostOf(word, own);
}

/** A host is called what stands behind the user's name. */
function hostOf(word: string, address: string): Host {
  const name = word.slice(word.lastIndexOf("@") + 1);
  return { id: newId(), name, address, ...(name !== word && { reach: word }), revision: 1, numbers: [] };
}

/** Refuses hosts that cannot be told apart, or reach each other in no way. */
export function checkHosts(hosts: readonly Host[]): void {
  const refuse = (cause: string) =>
    StasisError.of("usage", "Could not use these hosts together", {
      causes: [cause],
      hint: "Write each as HOST=ADDRESS; --self NAME=ADDRESS says what this one is called",
    });
  for (const key of ["name", "address"] as const) {
    const seen = new Set<string>();
    for (const host of hosts) {
      if (seen.has(host[key])) throw refuse(`two have the ${key} ${host[key]}`);
      seen.add(host[key]);
    }
  }
  if (new Set(hosts.map(({ address }) => parseAddress(address)?.version)).size > 1) {
    throw refuse("some have an address of IPv4, others one of IPv6");
  }
}
