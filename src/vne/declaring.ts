/** Declaring hosts gone for good that nobody reaches: what they owned is taken over, and their packets are let in no more. */

import { StasisError } from "../../ffi/error.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { departed, Directory, informed } from "./directory.ts";
import type { EnvironmentCard } from "./environments.ts";
import { allNumbers } from "./holders.ts";
import { type Holdings, unowned } from "./holdings.ts";
import { requireAllowed } from "./hosts.ts";
import { meetAll, reasonOf } from "./meeting.ts";
import { answering, follow, isFromGone, senseless, spanOf, takeIn, understand } from "./questions.ts";
import { countOf, union } from "./shares.ts";
import {
  byName,
  changeSpan,
  type Gone,
  goneIn,
  hearsay,
  holdingsIn,
  holdingsOf,
  type Host,
  isRecord,
  lockEnvironment,
  readSpan,
  type Span,
  withHoldings,
  type Word,
  wordIn,
  wordOf,
  writeSpan,
} from "./span.ts";
import { awaitGo, Gathering, withoutAnswer } from "./together.ts";

/** How long all of it may take, in ms. */
const PATIENCE = 30_000;

export interface Declared {
  /** How many numbers were taken over. */
  taken: number;
  notes: string[];
}

/** Declares hosts gone for good, by their names; those that were already as well, should something of it have been left undone. */
export async function declareGone(
  session: Session,
  card: EnvironmentCard,
  names: readonly string[],
): Promise<Declared> {
  const span = spanOf(session, card);
  requireAllowed(card.name, span);
  const doomed = names.flatMap((name) => doomedBy(card, span, name));
  return span.directory === undefined
    ? await takeOver(session, card, doomed)
    : await strike(session, card, doomed);
}

function doomedBy(card: EnvironmentCard, { self, hosts, gone }: Span, name: string): Gone[] {
  const found = [...hosts, ...gone].filter((one) => one.name === name).map(({ id }) => ({ id, name }));
  if (found.some(({ id }) => id === self)) {
    throw StasisError.of("usage", `Could not declare the host "${name}" gone`, {
      causes: ["it is this one"],
      hint: `To leave: stasis vne leave ${card.name}`,
    });
  }
  if (found.length > 0) return found;
  throw StasisError.of("no_target", `Could not find a host "${name}" in the environment "${card.name}"`, {
    hint: `It has ${hosts.map((host) => `"${host.name}"`).join(", ")}`,
  });
}

/** With a directory: there nobody owns then what they owned. */
async function strike(session: Session, card: EnvironmentCard, doomed: readonly Gone[]): Promise<Declared> {
  let taken = 0;
  const [before, after] = await changeSpan(session.home, card.name, async (span) => {
    const document = await Directory.of(span, card)?.change((one) => {
      const next = departed(one, doomed);
      taken = countOf(next.free) - countOf(one.free);
      return next;
    });
    const next = document === undefined ? span : informed(span, document);
    return { span: next, result: [span, next] as const };
  });
  await follow(session, card, before, after);
  await Directory.of(after, card)?.forget(doomed);
  const notes = (await meetAll(session, card, PATIENCE)).flatMap((heard) =>
    "fault" in heard ? [`${heard.host.name} learns of it later: ${reasonOf(heard.fault)}`] : []
  );
  return { taken, notes };
}

/** Without: again where the others know of hosts that this one had not heard of. */
async function takeOver(session: Session, card: EnvironmentCard, doomed: readonly Gone[]): Promise<Declared> {
  for (;;) {
    const declared = await takeOverFrom(session, card, spanOf(session, card), doomed);
    if (declared !== undefined) return declared;
  }
}

/**
 * Every other host is asked what it owns, and none gives anything away meanwhile. What is nobody's is this host's then. Undefined
 * where there are hosts that were not asked: they are known from now on.
 */
async function takeOverFrom(
  session: Session,
  card: EnvironmentCard,
  span: Span,
  doomed: readonly Gone[],
): Promise<Declared | undefined> {
  const gathering = new Gathering(session, span, PATIENCE);
  const args = { environment: card.id, from: span.self, word: wordOf(span), gone: doomed };
  using held = new DisposableStack();
  const reports: Record<string, Report> = {};
  try {
    // In the same order everywhere: two who do so at once do not wait for each other.
    for (const host of survivors(span, doomed)) {
      if (host.id === span.self) held.use(await lockEnvironment(session.home, card.name));
      else reports[host.id] = reported(await gathering.begin({ host, question: "vne-freeze", args }));
    }
  } catch (error) {
    await gathering.disperse(error);
    throw notAgreed(card, doomed, error);
  }
  const words = Object.values(reports).map(({ word }) => word);
  if (words.some((word) => hasMore(hearsay(span, word), span))) {
    await gathering.disperse(notAgreed(card, doomed, senseless()));
    held.dispose();
    for (const word of words) await takeIn(session, card, word);
    return undefined;
  }
  // They let nobody who is gone give anything any more, and then their addresses are given anew.
  const answers = await gathering.go();
  const before = spanOf(session, card);
  const own = holdingsOf(before);
  const orphans = unowned(allNumbers(card), { ...reports, [span.self]: own });
  const more = withHoldings(before, { ...own, numbers: union(own.numbers, orphans) });
  const after = hearsay(more, { hosts: [], gone: doomed });
  writeSpan(session.home, card.name, after);
  held.dispose();
  await follow(session, card, before, after);
  const notes = withoutAnswer(answers).map(({ host, why }) => `${host.name} learns of it later: ${why}`);
  return { taken: countOf(orphans), notes };
}

function hasMore(one: Span, other: Span): boolean {
  return one.hosts.some(({ id }) => other.hosts.every((host) => host.id !== id));
}

/** What a host says that gives nothing away for now. */
interface Report extends Holdings {
  word: Word;
}

function survivors({ hosts }: Span, doomed: readonly Gone[]): Host[] {
  return hosts.filter((host) => doomed.every(({ id }) => id !== host.id)).toSorted(byName);
}

function reported(report: unknown): Report {
  const holdings = holdingsIn(report);
  const word = isRecord(report) ? wordIn(report.word) : undefined;
  if (holdings !== undefined && word !== undefined) return { ...holdings, word };
  throw senseless();
}

/** Answers a host that declares others gone: says what this one owns, and gives nothing away until that host goes on. */
export async function freeze(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const asked = await understand(session, args);
  const { card } = asked;
  if (isFromGone(asked) || !Array.isArray(asked.args.gone)) throw refusedHere(card);
  const gone = asked.args.gone.flatMap((one) => goneIn(one) ?? []);
  const [before, after] = await hold(session, card, gone, talk);
  await follow(session, card, before, after);
  return answering(session, card);
}

async function hold(
  session: Session,
  { name }: EnvironmentCard,
  gone: readonly Gone[],
  talk: Talk,
): Promise<[before: Span, after: Span]> {
  using _lock = await lockEnvironment(session.home, name);
  const span = readSpan(session.home, name);
  if (span === undefined) throw senseless();
  await awaitGo(talk, { ...holdingsOf(span), word: wordOf(span) });
  const after = hearsay(span, { hosts: [], gone });
  writeSpan(session.home, name, after);
  return [span, after];
}

function refusedHere({ name }: EnvironmentCard): StasisError {
  return StasisError.of("refused", `Could not take part in changing the hosts of the environment "${name}"`, {
    causes: ["the host that asks was declared gone"],
    hint: `There: stasis vne leave ${name}, and then join it anew`,
  });
}

function notAgreed({ name }: EnvironmentCard, doomed: readonly Gone[], thrown: unknown): StasisError {
  const fault = faultOf(thrown);
  const options = doomed.map((one) => ` --host ${one.name}`).join("");
  return new StasisError({
    ...fault,
    message: `Could not declare ${
      doomed.map((one) => `"${one.name}"`).join(" and ")
    } gone from the environment "${name}"`,
    causes: ["all other hosts must say which addresses they own", fault.message, ...fault.causes ?? []],
    aftermath: "Nothing was changed",
    hint: `For a host that is gone as well, name both: stasis vne leave ${name}${options} --host HOST`,
  });
}
