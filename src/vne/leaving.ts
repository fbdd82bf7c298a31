/** This host leaves an environment that others go on with, and what the others do then. */

import { StasisError } from "../../ffi/error.ts";
import type { Conversation } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { departed, Directory, informed } from "./directory.ts";
import type { EnvironmentCard } from "./environments.ts";
import { give, take } from "./holdings.ts";
import { converse, peerOf } from "./hosts.ts";
import { reasonOf } from "./meeting.ts";
import { answering, ask, follow, isFromGone, recordIn, senseless, spanOf, understand } from "./questions.ts";
import { union } from "./shares.ts";
import {
  changeSpan,
  giftIn,
  type Gone,
  hearsay,
  holdingsOf,
  type Host,
  isCount,
  isText,
  othersOf,
  selfOf,
  withHoldings,
  wordOf,
} from "./span.ts";

/** How long another host may take to hear of it, in ms. */
const PATIENCE = 10_000;

/**
 * Gives all addresses of this host back, and tells the other hosts that it leaves. Returns what is to be noted. Throws when
 * nobody takes the addresses.
 */
export async function takeLeave(session: Session, card: EnvironmentCard): Promise<string[]> {
  const span = spanOf(session, card);
  const self = goneOf(selfOf(span));
  if (span.directory !== undefined) {
    const directory = Directory.of(span, card);
    await directory?.change((one) => departed(one, [self]));
    await directory?.forget([self]);
    return await sayFarewell(session, card, self, othersOf(span));
  }
  const failures: string[] = [];
  for (const heir of othersOf(span)) {
    try {
      await converse(session, peerOf(span, heir), (there) => bequeath(session, there, card, heir, self));
      const rest = othersOf(span).filter(({ id }) => id !== heir.id);
      return await sayFarewell(session, card, self, rest);
    } catch (thrown) {
      failures.push(reasonOf(faultOf(thrown)));
      // What was on its way is that host's: nobody else can be given it.
      const { given, numbers } = holdingsOf(spanOf(session, card));
      if (numbers.length === 0 && given[heir.id] !== undefined) break;
    }
  }
  throw nobodyTakes(card, self.name, failures);
}

function goneOf({ id, name }: Host): Gone {
  return { id, name };
}

/** Gives one host everything, and says farewell to it. */
async function bequeath(
  session: Session,
  there: Conversation,
  card: EnvironmentCard,
  heir: Host,
  self: Gone,
): Promise<void> {
  for (;;) {
    const { arrived } = await ask(session, there, card, "vne-meet");
    if (!isCount(arrived)) throw senseless();
    const gift = await changeSpan(session.home, card.name, (span) => {
      const before = holdingsOf(span);
      const { holdings, gift } = give(before, heir.id, arrived, (owned) => owned);
      return { span: holdings === before ? span : withHoldings(span, holdings), result: gift };
    });
    if (gift.sequence === arrived) break;
    await ask(session, there, card, "vne-inherit", { gift });
  }
  await farewell(session, there, card, self);
}

/** Answers a host that gives its addresses away unasked. */
export async function inherit(session: Session, args: unknown): Promise<unknown> {
  const asked = await understand(session, args);
  const { card, from } = asked;
  const gift = giftIn(asked.args.gift);
  if (gift === undefined) throw senseless();
  if (!isFromGone(asked)) {
    await changeSpan(session.home, card.name, (span) => {
      if (span.hosts.every(({ id }) => id !== from)) return { span, result: undefined };
      return { span: withHoldings(span, take(holdingsOf(span), from, gift)), result: undefined };
    });
  }
  return answering(session, card);
}

/** Tells a host that this one has left. */
async function farewell(
  session: Session,
  there: Conversation,
  card: EnvironmentCard,
  self: Gone,
): Promise<void> {
  const { hosts, gone } = wordOf(spanOf(session, card));
  await there.ask("vne-members", {
    environment: card.id,
    from: self.id,
    word: { hosts, gone: [...gone, self] },
    members: [],
  });
}

async function sayFarewell(
  session: Session,
  card: EnvironmentCard,
  self: Gone,
  hosts: readonly Host[],
): Promise<string[]> {
  const span = spanOf(session, card);
  const notes = await Promise.all(hosts.map(async (host) => {
    try {
      const peer = peerOf(span, host);
      await converse(session, peer, (there) => farewell(session, there, card, self), PATIENCE);
      return [];
    } catch (thrown) {
      return [`${host.name} learns later that this host has left: ${reasonOf(faultOf(thrown))}`];
    }
  }));
  return notes.flat();
}

/** Answers a host that was let in, and could not make the environment: it has handed out nothing. */
export async function withdraw(session: Session, args: unknown): Promise<unknown> {
  const { card, from } = await understand(session, { ...recordIn(args), word: { hosts: [], gone: [] } });
  const { home } = session;
  const [before, after] = await changeSpan(home, card.name, async (span) => {
    const host = span.hosts.find(({ id }) => id === from);
    if (host === undefined || !isText(host.name)) return { span, result: [span, span] as const };
    const document = await Directory.of(span, card)?.change((one) => departed(one, [goneOf(host)]));
    const numbers = union(selfOf(span).numbers, span.given[from]?.numbers ?? []);
    const left = document === undefined
      ? hearsay(withHoldings(span, { ...holdingsOf(span), numbers }), { hosts: [], gone: [goneOf(host)] })
      : informed(span, document);
    return { span: left, result: [span, left] as const };
  });
  await follow(session, card, before, after);
  return answering(session, card);
}

function nobodyTakes(card: EnvironmentCard, self: string, failures: readonly string[]): StasisError {
  return StasisError.of("other", `Could not leave the environment "${card.name}" in order`, {
    causes: failures.length > 0
      ? [...failures]
      : ["there is no other host to take the addresses of this one"],
    aftermath: "This host is still part of it",
    hint: failures.length > 0
      ? `Try again when another host is reached; or use --force here, and "stasis vne leave ${card.name} --host ${self}" on another host`
      : `On the last host: stasis vne rm ${card.name}`,
  });
}
