/** What hosts of an environment ask each other: every question says who asks and what that host knows, and so does every answer. */

import { StasisError } from "../../ffi/error.ts";
import type { Conversation } from "../remote/conversation.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { type EnvironmentCard, listEnvironments } from "./environments.ts";
import { banished, raise } from "./hosts.ts";
import { forgetMembers, refreshNames } from "./names.ts";
import {
  changeSpan,
  hearsay,
  isBanished,
  isRecord,
  isText,
  othersOf,
  readSpan,
  type Span,
  type Word,
  wordIn,
  wordOf,
} from "./span.ts";

/** Asks another host of the environment, and takes in what it says of the hosts. */
export async function ask(
  session: Session,
  there: Conversation,
  card: EnvironmentCard,
  question: string,
  more: Readonly<Record<string, unknown>> = {},
  during?: (talk: Talk) => Promise<void>,
): Promise<Record<string, unknown>> {
  const span = spanOf(session, card);
  const words = { environment: card.id, from: span.self, word: wordOf(span), ...more };
  const answer = recordIn(await there.ask(question, words, during));
  const after = await takeIn(session, card, wordIn(answer.word));
  if (isBanished(after)) throw banished(card.name);
  return answer;
}

/** What a question came with. */
export interface Asked {
  card: EnvironmentCard;
  span: Span;
  /** The id of the host that asks. */
  from: string;
  args: Record<string, unknown>;
}

/**
 * Understands a question, and takes in what it says of the hosts. Undefined for a host that was declared gone: it is to be told
 * that, and nothing else.
 */
export async function understand(session: Session, args: unknown): Promise<Asked> {
  const record = recordIn(args);
  const card = listEnvironments(session.home).find(({ id }) => id === record.environment);
  if (card === undefined) throw notHere();
  const before = spanOf(session, card);
  const { from } = record;
  if (!isText(from)) throw senseless();
  const isGone = before.gone.some(({ id }) => id === from);
  const span = isGone ? before : await takeIn(session, card, wordIn(record.word));
  return { card, span, from, args: record };
}

/** Whether the host that asks was declared gone. */
export function isFromGone({ span, from }: Asked): boolean {
  return span.gone.some(({ id }) => id === from);
}

/** An answer, with what this host knows. */
export function answering(
  session: Session,
  card: EnvironmentCard,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { word: wordOf(spanOf(session, card)), ...more };
}

/** Takes in what another host says of the hosts; where there are others now, the kernel is told. */
export async function takeIn(session: Session, card: EnvironmentCard, word: Word | undefined): Promise<Span> {
  if (word === undefined) throw senseless();
  const { home } = session;
  const [before, after] = await changeSpan(home, card.name, (before) => {
    const after = hearsay(before, word);
    const same = JSON.stringify(after) === JSON.stringify(before);
    return { span: same ? before : after, result: [before, after] as const };
  });
  await follow(session, card, before, after);
  return after;
}

/** Has the kernel, and members that look names up, follow a change of the hosts. */
export async function follow(
  session: Session,
  card: EnvironmentCard,
  before: Span,
  after: Span,
): Promise<void> {
  if (placesIn(before) === placesIn(after)) return;
  await raise(session, card);
  const left = before.hosts.filter((host) => after.hosts.every(({ id }) => id !== host.id));
  for (const { name } of left) await forgetMembers(session.home, card, name);
  if (left.length > 0) await refreshNames(session, card);
}

/** What the kernel knows of the hosts. */
function placesIn(span: Span): string {
  return isBanished(span) ? "" : othersOf(span).map(({ address }) => address).sort().join();
}

export function spanOf({ home }: Session, { name }: EnvironmentCard): Span {
  const span = readSpan(home, name);
  if (span === undefined) throw notHere();
  return span;
}

/** Reads what must be an object. */
export function recordIn(value: unknown): Record<string, unknown> {
  if (isRecord(value)) return value;
  throw senseless();
}

export function senseless(): StasisError {
  return StasisError.of("other", "Could not understand what another host says of an environment");
}

function notHere(): StasisError {
  return StasisError.of("no_target", "Could not find the environment on this host", {
    causes: ["it is not there, or was removed, or is on this host only"],
  });
}
