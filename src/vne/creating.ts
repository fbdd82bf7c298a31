/** Making an environment on several hosts at once. */

import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { establish, notEverywhere } from "./adopting.ts";
import { Directory } from "./directory.ts";
import type { EnvironmentCard } from "./environments.ts";
import { parseEndpoints } from "./etcd.ts";
import { allNumbers } from "./holders.ts";
import { converse, peerOf } from "./hosts.ts";
import { checkHosts, ownHost, peerHost } from "./naming_hosts.ts";
import { split, union, without } from "./shares.ts";
import { byName, isRecord, othersOf, selfOf, type Span } from "./span.ts";
import { together, withoutAnswer } from "./together.ts";
import { addressOf, linkMtu, memberMtu } from "./underlay.ts";

/** What the command line says of hosts. */
export interface HostOptions {
  self?: string | undefined;
  peer?: string[] | undefined;
  directory?: string | undefined;
  rsh?: string | undefined;
  remote?: string | undefined;
}

/** How long a host may take to make an environment, in ms. */
const PATIENCE = 60_000;
/** The least that a packet may have: as much as IPv6 asks for, or IPv4 is used with. In bytes. */
const LEAST_MTU = { 4: 576, 6: 1280 } as const;

/** What this host is to know of the hosts; undefined for an environment on this host only. */
export async function planSpan(
  card: EnvironmentCard,
  options: HostOptions,
  secret?: string,
): Promise<Span | undefined> {
  const { peer: peers = [], directory, rsh, remote } = options;
  if (peers.length === 0 && directory === undefined) return undefined;
  const others = await Promise.all(peers.map(peerHost));
  const endpoints = directory === undefined ? [] : parseEndpoints(directory);
  const own = ownHost(options.self, others[0]?.address ?? await firstOf(endpoints));
  const hosts = [own, ...others];
  checkHosts(hosts);
  // With a directory one share is nobody's, for hosts that come later.
  const shares = split(allNumbers(card), hosts.length + (directory === undefined ? 0 : 1));
  return {
    self: own.id,
    hosts: hosts.map((host, index) => ({ ...host, numbers: shares[index] ?? [] })).sort(byName),
    gone: [],
    given: {},
    taken: {},
    ...(rsh !== undefined && { rsh }),
    ...(remote !== undefined && { remote }),
    ...(directory !== undefined && { directory: endpoints }),
    ...(secret !== undefined && { secret }),
  };
}

/** The address of the first server of a directory, for a host that knows no other host yet. */
async function firstOf([endpoint]: readonly string[]): Promise<string | undefined> {
  return endpoint === undefined ? undefined : await addressOf(new URL(endpoint).hostname);
}

/** The card with the size of packets that fits between all hosts, or the one that was asked for. */
export async function fitting(
  session: Session,
  card: EnvironmentCard,
  span: Span,
  asked?: number,
): Promise<EnvironmentCard> {
  const sizes = await Promise.all(
    othersOf(span).map(async (host) => {
      const { name, address } = host;
      const answer = await converse(
        session,
        peerOf(span, host),
        (there) => there.ask("vne-look", { environment: card, address }),
      );
      const mtu = isRecord(answer) ? answer.mtu : undefined;
      if (typeof mtu === "number") {
        return mtu;
      }
      throw StasisError.of("other", `Could not understand the host "${name}"`);
    }),
  );
  const { address } = selfOf(span);
  const fits = memberMtu(Math.min(linkMtu(address), ...sizes), address, span.secret !== undefined);
  const mtu = asked ?? fits;
  const least = LEAST_MTU[card.subnets.some((one) => one.includes(":")) ? 6 : 4];
  if (mtu >= least && mtu <= 65_535) return { ...card, mtu };
  throw StasisError.of("usage", `Could not use packets of ${mtu} bytes in the environment "${card.name}"`, {
    causes: [`members need packets of ${least} bytes at least, and ${fits} fit between the hosts`],
    hint: "Raise the MTU of the links between the hosts, or choose another with --mtu",
  });
}

/** Makes an environment on all of its hosts; when one of them fails, it is on none. Returns what is to be noted. */
export async function createOnAll(session: Session, card: EnvironmentCard, span: Span): Promise<string[]> {
  try {
    const questions = othersOf(span).map((host) => ({
      host,
      question: "vne-adopt",
      args: { environment: card, span: { ...span, self: host.id } },
    }));
    const answers = await together(
      session,
      span,
      questions,
      PATIENCE,
      () => establishHere(session, card, span),
    );
    return withoutAnswer(answers).map(({ host, why }) =>
      `${host.name} has not said whether it kept the environment: ${why}`
    );
  } catch (error) {
    throw notEverywhere(card, error);
  }
}

async function establishHere(session: Session, card: EnvironmentCard, span: Span): Promise<void> {
  const { hosts, gone } = span;
  const free = without(allNumbers(card), union(...hosts.map(({ numbers }) => numbers)));
  const directory = Directory.of(span, card);
  await directory?.enter({ environment: card, hosts, gone, free });
  try {
    await establish(session, card, span);
  } catch (error) {
    await directory?.remove();
    throw error;
  }
}
