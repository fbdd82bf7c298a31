/** The hosts of an environment, and conversations with them. */

import { type Fault, StasisError } from "../../ffi/error.ts";
import type { Home, Request } from "../../ffi/messages.ts";
import { Conversation, type Peer } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { describe, type EnvironmentCard } from "./environments.ts";
import { type Host, isBanished, lockEnvironment, othersOf, readSpan, selfOf, type Span } from "./span.ts";

/** A host of an environment, and how it is reached. */
export interface HostOf {
  name: string;
  /** In the network that connects the hosts. */
  address: string;
  /** Whether it is this one. */
  self: boolean;
  peer: Peer;
}

/** The hosts of an environment, this one included; none where it is on this host only. */
export function hostsOf(home: Home, { name }: { name: string }): HostOf[] {
  const span = readSpan(home, name);
  if (span === undefined) return [];
  return span.hosts.map((host) => ({
    name: host.name,
    address: host.address,
    self: host.id === span.self,
    peer: peerOf(span, host),
  }));
}

/** How a host is reached. */
export function peerOf(
  { rsh, remote }: Pick<Span, "rsh" | "remote">,
  { name, reach }: Pick<Host, "name" | "reach">,
): Peer {
  return { host: reach ?? name, rsh: rsh ?? Deno.env.get("STASIS_RSH"), remote };
}

/** Refuses what needs the others where they have declared this host gone. */
export function requireAllowed(name: string, span: Span): void {
  if (isBanished(span)) throw banished(name);
}

/** For a host that learns that the others go on without it. */
export function banished(name: string): StasisError {
  return StasisError.of("refused", `This host is no longer part of the environment "${name}"`, {
    causes: ["the other hosts have declared it gone for good, and taken over its addresses"],
    aftermath: "Applications that run here run on, and reach no member on another host",
    hint: `Stop them, and join anew: stasis vne leave ${name}; stasis vne join ${name} --peer HOST`,
  });
}

/** What came of asking one host. */
export type Heard<T> = { host: Host; value: T } | { host: Host; fault: Fault };

/** How long a conversation may take, in ms, where nothing is said. */
const PATIENCE = 30_000;

/** Has a conversation with one host, which is given up when it takes longer than `patience`, in ms. */
export async function converse<T>(
  session: Session,
  peer: Peer,
  what: (there: Conversation) => Promise<T>,
  patience = PATIENCE,
): Promise<T> {
  await using there = await Conversation.open(session, peer, Math.min(patience, 10_000));
  let late = false;
  const limit = setTimeout(() => {
    late = true;
    there.child.kill("SIGTERM");
  }, patience);
  try {
    return await what(there);
  } catch (error) {
    throw late ? tooSlow(peer, patience) : error;
  } finally {
    clearTimeout(limit);
  }
}

function tooSlow({ host }: Peer, patience: number): StasisError {
  return StasisError.of("other", `Could not wait for ${host} any longer`, {
    causes: [`it did not answer within ${patience / 1000} s`],
  });
}

/** The same with all other hosts at once; what one of them fails at does not keep the others. */
export async function converseWithAll<T>(
  session: Session,
  span: Span,
  what: (there: Conversation, host: Host) => Promise<T>,
  patience?: number,
): Promise<Heard<T>[]> {
  return await Promise.all(
    othersOf(span).map(async (host): Promise<Heard<T>> => {
      try {
        return {
          host,
          value: await converse(session, peerOf(span, host), (there) => what(there, host), patience),
        };
      } catch (thrown) {
        return { host, fault: faultOf(thrown) };
      }
    }),
  );
}

/** Has the kernel make what is missing of an environment, with the ways to the other hosts as they are known now. */
export async function raise(session: Session, card: EnvironmentCard): Promise<void> {
  using _lock = await lockEnvironment(session.home, card.name);
  const span = readSpan(session.home, card.name);
  await session.perform("make_environment", makingOf(card, span));
}

/** The request that makes an environment; where the others have declared this host gone, without a way to them. */
export function makingOf(card: EnvironmentCard, span: Span | undefined): Request<"make_environment"> {
  const environment = describe(card);
  if (span === undefined) return { environment };
  const peers = isBanished(span) ? [] : othersOf(span).map(({ address }) => address).sort();
  const secret = span.secret === undefined ? {} : { secret: span.secret };
  return { environment, tunnel: { address: selfOf(span).address, peers, ...secret } };
}
