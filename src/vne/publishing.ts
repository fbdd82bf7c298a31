/** Ports of the host that lead to applications in environments (`--publish`). */

import { StasisError } from "../../ffi/error.ts";
import type { Application, Network, PublishedPort } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { collect } from "../verb.ts";
import { Option } from "@commander-js/extra-typings";

/** `--publish`, of every command that makes an application live. */
export function publishOption(): Option<
  "--publish <[HOSTPORT:]PORT[/udp]>",
  undefined,
  undefined,
  string[],
  false,
  undefined
> {
  return new Option(
    "--publish <[HOSTPORT:]PORT[/udp]>",
    "let HOSTPORT of this host, or any that is free, lead to PORT of it in its environment; may be given more than once",
  ).argParser((value: string, previous?: string[]) => collect(value, previous));
}

/** Reads `PORT`, `HOSTPORT:PORT` or `auto:PORT`, with `/udp` or `/tcp` behind it; undefined for anything else. */
export function readPublished(text: string): PublishedPort | undefined {
  const [, given, inner, protocol = "tcp"] = /^(?:(auto|\d{1,5}):)?(\d{1,5})(?:\/(tcp|udp))?$/.exec(text) ??
    [];
  const port = Number(inner);
  const auto = given === undefined || given === "auto";
  const host = auto ? 0 : Number(given);
  const isPort = (number: number) => number >= 1 && number <= 65_535;
  if (!isPort(port) || !(auto || isPort(host))) return undefined;
  return { protocol: protocol === "udp" ? "udp" : "tcp", port, host, ...(auto && { auto }) };
}

/** The ports that words of the command line or of rules name. */
export function parsePublished(words: readonly string[]): PublishedPort[] {
  return words.map((word) => {
    const port = readPublished(word);
    if (port !== undefined) return port;
    throw StasisError.of("usage", `Could not understand the port "${word}" that is to be published`, {
      causes: ["ports are numbers from 1 to 65535"],
      hint: "Write it as 8080, 18080:8080, auto:8080 or 5353:53/udp",
    });
  });
}

/** The ports of the host that lead to an application. */
export function publishedBy({ network }: { network: Network }): PublishedPort[] {
  return network === "host" ? [] : (network.own.links ?? []).flatMap(({ published = [] }) => published);
}

/** The same network with ports of the host that lead there. */
export function publish(network: Network | undefined, ports: readonly PublishedPort[]): Network | undefined {
  if (ports.length === 0) return network;
  const [first, ...rest] = network === undefined || network === "host" ? [] : network.own.links ?? [];
  if (first === undefined) throw withoutEnvironment(ports);
  return { own: { links: [{ ...first, published: [...ports] }, ...rest] } };
}

/** Refuses ports of the host that an application has, or that two are to have, before anything is made. */
export function requireUnpublished(
  networks: readonly (Network | undefined)[],
  applications: readonly Application[],
): void {
  const known = new Map<string, string>();
  for (const application of applications.filter(({ state }) => state === "running")) {
    for (const port of publishedBy(application)) {
      known.set(keyOf(port), `it leads to the application "${application.name}"`);
    }
  }
  const wanted = networks.flatMap((network) => network === undefined ? [] : publishedBy({ network }));
  for (const port of wanted.filter(({ auto }) => auto !== true)) {
    const taken = known.get(keyOf(port));
    if (taken !== undefined) throw portTaken(port, taken);
    known.set(keyOf(port), "it is to lead to two ports, or to two applications");
  }
}

/** Says which ports of the host were found, and which were replaced. `wanted` is what was asked for, or what it had. */
export async function reportPublished(
  session: Session,
  aid: string | undefined,
  wanted: Network | undefined,
): Promise<void> {
  if (aid === undefined || wanted === undefined || publishedBy({ network: wanted }).length === 0) return;
  const application = (await session.applications()).find((one) => one.aid === aid);
  if (application === undefined) return;
  const asked = publishedBy({ network: wanted });
  for (const [index, { protocol, port, host }] of publishedBy(application).entries()) {
    const former = asked[index]?.host ?? 0;
    session.output.talk(
      former === 0 || former === host
        ? `Port ${host} of this host leads to its ${protocol} port ${port}`
        : `  note: port ${host} of this host leads to its ${protocol} port ${port}: ${former} is taken`,
    );
  }
}

function keyOf({ protocol, host }: PublishedPort): string {
  return `${protocol} ${host}`;
}

function portTaken({ protocol, port, host }: PublishedPort, cause: string): StasisError {
  return StasisError.of("other", `Could not publish the port ${port}`, {
    causes: [`${protocol} port ${host} of this host is taken: ${cause}`],
    hint: "Choose another port of the host, or none: any that is free is taken then",
  });
}

function withoutEnvironment([first]: readonly PublishedPort[]): StasisError {
  return StasisError.of("usage", `Could not publish the port ${first?.port}`, {
    causes: ["the application is in no virtual network environment"],
    hint: "Name one with --vne; on the host's network a program has its ports itself",
  });
}
