/** Getting addresses from other hosts of an environment. No lock is held while another host is asked. */

import { type Fault, StasisError } from "../../ffi/error.ts";
import type { Conversation } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import type { Lacking, Want } from "./claims.ts";
import { Directory, granted, informed } from "./directory.ts";
import type { EnvironmentCard } from "./environments.ts";
import { addressesOf } from "./holders.ts";
import { ownerOf, take } from "./holdings.ts";
import { converse, peerOf, requireAllowed } from "./hosts.ts";
import { ask, senseless, spanOf } from "./questions.ts";
import { refreshed } from "./refreshing.ts";
import { common, countOf, each, halfOf, type Numbers, without } from "./shares.ts";
import {
  changeSpan,
  giftIn,
  holdingsOf,
  type Host,
  othersOf,
  readSpan,
  selfOf,
  withHoldings,
} from "./span.ts";

/** Gets what lacks. Throws what is to be said where no host gives it. */
export async function obtain(
  session: Session,
  card: EnvironmentCard,
  { want, refusal }: Lacking,
): Promise<void> {
  if (readSpan(session.home, card.name) === undefined) throw refusal;
  requireAllowed(card.name, spanOf(session, card));
  await fromDirectory(session, card, want);
  if ("numbers" in want) await obtainThese(session, card, want.numbers);
  else await obtainSome(session, card, want.count, refusal);
}

/** What nobody owns stands in the directory: half of that, or the very numbers. */
async function fromDirectory(session: Session, card: EnvironmentCard, want: Want): Promise<void> {
  if (Directory.of(spanOf(session, card), card) === undefined) return;
  await changeSpan(session.home, card.name, async (span) => {
    const choose = (free: Numbers) => "numbers" in want ? want.numbers : halfOf(free);
    const document = await Directory.of(span, card)?.change((one) => granted(one, span.self, choose));
    return { span: document === undefined ? span : informed(span, document), result: undefined };
  });
}

function lackingOf(session: Session, card: EnvironmentCard, numbers: Numbers): Numbers {
  return without(numbers, selfOf(spanOf(session, card)).numbers);
}

/** Asks the owner of each; who answers that another one has it by now says which. */
async function obtainThese(session: Session, card: EnvironmentCard, numbers: Numbers): Promise<void> {
  const asked = new Set<string>();
  for (;;) {
    const lacking = lackingOf(session, card, numbers);
    const [number] = each(lacking);
    if (number === undefined) return;
    const others = othersOf(spanOf(session, card));
    const owner = ownerOf(others, number) ?? others.find(({ id }) => !asked.has(id));
    const key = `${owner?.id} ${number}`;
    if (owner === undefined || asked.has(key)) throw nobodyHas(card, number, others);
    asked.add(key).add(owner.id);
    try {
      const wanted = ownerOf([owner], number) === undefined ? lacking : common(lacking, owner.numbers);
      await askFor(session, card, owner, { numbers: wanted });
    } catch (thrown) {
      throw notGiven(card, number, owner, faultOf(thrown));
    }
  }
}

/** Asks one host after the other, those with most first. */
async function obtainSome(
  session: Session,
  card: EnvironmentCard,
  count: number,
  refusal: StasisError,
): Promise<void> {
  const before = countOf(selfOf(spanOf(session, card)).numbers);
  const gained = () => countOf(selfOf(spanOf(session, card)).numbers) - before;
  const causes: string[] = [];
  const hosts = othersOf(spanOf(session, card)).toSorted((one, other) =>
    countOf(other.numbers) - countOf(one.numbers)
  );
  for (const host of hosts) {
    if (gained() >= count) return;
    const had = gained();
    try {
      await askFor(session, card, host, { count: count - had });
      if (gained() === had) causes.push(`the host "${host.name}" has none to give away`);
    } catch (thrown) {
      const { message, causes: more = [] } = faultOf(thrown);
      causes.push([message, ...more].join(": "));
    }
  }
  if (gained() > 0) return;
  const { fault } = refusal;
  throw new StasisError({ ...fault, causes: [...fault.causes ?? [], ...causes] });
}

/** Asks a host for addresses, and takes what it gives. */
async function askFor(session: Session, card: EnvironmentCard, host: Host, want: Want): Promise<void> {
  const peer = peerOf(spanOf(session, card), host);
  await converse(session, peer, async (there) => {
    while (await askOnce(session, there, card, host, want));
  });
}

/** Whether it is to be asked again, since what it gave had been lost before. */
async function askOnce(
  session: Session,
  there: Conversation,
  card: EnvironmentCard,
  host: Host,
  want: Want,
): Promise<boolean> {
  const arrived = spanOf(session, card).taken[host.id] ?? 0;
  const answer = await ask(session, there, card, "vne-give", { arrived, want });
  if (spanOf(session, card).directory !== undefined) {
    await refreshed(session, card);
    return false;
  }
  const gift = giftIn(answer.gift);
  if (gift === undefined) throw senseless();
  await changeSpan(session.home, card.name, (span) => {
    // Declared gone while it answered: its numbers are another's.
    if (span.hosts.every(({ id }) => id !== host.id)) return { span, result: undefined };
    return { span: withHoldings(span, take(holdingsOf(span), host.id, gift)), result: undefined };
  });
  return answer.again === true;
}

function notGiven(card: EnvironmentCard, number: number, host: Host, fault: Fault): StasisError {
  const [address] = addressesOf(card, number);
  if (fault.code === "interrupted" || fault.code === "internal") return new StasisError(fault);
  const used = fault.code === "refused";
  return StasisError.of(
    used ? "usage" : "other",
    `Could not get the address ${address} from the host "${host.name}", which owns it`,
    {
      causes: used ? fault.causes ?? [] : [fault.message, ...fault.causes ?? []],
      hint: used
        ? `"stasis vne show ${card.name}" lists who has which; without an address the next free one is taken`
        : `Wait until it is reached again or take another address; for a host that never comes back: stasis vne leave ${card.name} --host ${host.name}`,
    },
  );
}

function nobodyHas(card: EnvironmentCard, number: number, others: readonly Host[]): StasisError {
  const [address] = addressesOf(card, number);
  return StasisError.of("other", `Could not find the host that owns the address ${address}`, {
    causes: [`none of ${others.map(({ name }) => `"${name}"`).join(", ")} has it`],
    hint: `Hosts that have not met for long do so with: stasis vne join ${card.name}`,
  });
}
