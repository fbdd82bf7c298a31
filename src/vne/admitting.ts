/** Hosts that come to an environment that others have. */

import { StasisError } from "../../ffi/error.ts";
import type { Conversation } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { establish } from "./adopting.ts";
import { Directory, granted, informed } from "./directory.ts";
import { cardIn, type EnvironmentCard, findEnvironment } from "./environments.ts";
import { giveTo } from "./giving.ts";
import { allNumbers } from "./holders.ts";
import { NOTHING, take } from "./holdings.ts";
import { raise } from "./hosts.ts";
import { recordIn, senseless, spanOf } from "./questions.ts";
import { countOf, halfOf } from "./shares.ts";
import {
  byName,
  changeSpan,
  giftIn,
  type Host,
  hostIn,
  isText,
  onOneHost,
  readSpan,
  selfOf,
  type Span,
  spanIn,
  withHoldings,
  type Word,
  wordIn,
  wordOf,
} from "./span.ts";

/** Answers a host that wants to come with what the environment is, and who is there. */
export function describeTo(session: Session, args: unknown): Promise<unknown> {
  const { name } = recordIn(args);
  if (!isText(name)) throw senseless();
  const card = findEnvironment(session.home, name);
  const span = readSpan(session.home, name);
  if (span === undefined) throw onOneHost(name);
  return Promise.resolve({ environment: card, word: wordOf(span), me: span.self });
}

/** Lets a host in, and gives it half of the free addresses; the same one may ask again when the answer was lost. */
export async function admit(session: Session, args: unknown): Promise<unknown> {
  const { environment, host: sent } = recordIn(args);
  const host = hostIn(sent);
  if (!isText(environment) || host === undefined) throw senseless();
  const card = findEnvironment(session.home, environment);
  await enter(session, card, { ...host, revision: 1, numbers: [] });
  const directory = Directory.of(spanOf(session, card), card);
  const given = directory === undefined
    ? await giveTo(session, card, host.id, 0, { count: countOf(allNumbers(card)) })
    : {};
  await raise(session, card);
  return { span: spanOf(session, card), ...given };
}

/** Notes a new host, also in the directory. */
async function enter(session: Session, card: EnvironmentCard, host: Host): Promise<void> {
  await changeSpan(session.home, card.name, async (span) => {
    const directory = Directory.of(span, card);
    if (directory === undefined) {
      const hosts = withHost(card, span.hosts, span, host);
      return { span: { ...span, hosts }, result: undefined };
    }
    const document = await directory.change((one) => {
      const hosts = withHost(card, one.hosts, one, host);
      return hosts === one.hosts ? one : granted({ ...one, hosts: [...hosts] }, host.id, halfOf);
    });
    return { span: informed(span, document), result: undefined };
  });
}

function withHost(
  card: EnvironmentCard,
  hosts: readonly Host[],
  { gone }: Pick<Word, "gone">,
  host: Host,
): readonly Host[] {
  if (hosts.some(({ id }) => id === host.id)) return hosts;
  const same = hosts.find(({ name, address }) => name === host.name || address === host.address);
  if (same === undefined && gone.every(({ id }) => id !== host.id)) return [...hosts, host].sort(byName);
  throw StasisError.of("usage", `Could not let the host "${host.name}" into the environment "${card.name}"`, {
    causes: [`there is the host "${same?.name}" with the address ${same?.address}`],
    hint:
      `Choose another name with --self NAME=ADDRESS; if that is this host, which had lost the environment: stasis vne leave ${card.name} --host ${same?.name}`,
  });
}

/** What another host says of an environment. */
export interface Described {
  card: EnvironmentCard;
  word: Word;
  /** The host that says so. */
  me: Host;
}

/** Asks a host what an environment is. */
export async function askAbout(there: Conversation, name: string): Promise<Described> {
  const answer = recordIn(await there.ask("vne-describe", { name }));
  const word = wordIn(answer.word);
  const me = word?.hosts.find(({ id }) => id === answer.me);
  if (word === undefined || me === undefined) throw senseless();
  return { card: await cardIn(answer.environment), word, me };
}

/** Comes to an environment with the help of a host that has it. */
export async function comeIn(
  session: Session,
  there: Conversation,
  { card, me }: Described,
  own: Host,
  ways: Pick<Span, "rsh" | "remote">,
): Promise<void> {
  const answer = recordIn(await there.ask("vne-admit", { environment: card.name, host: own }));
  const sent = spanIn(answer.span);
  if (sent === undefined) throw senseless();
  const span: Span = { ...sent, ...ways, self: own.id, given: {}, taken: {} };
  const gift = giftIn(answer.gift);
  const blank = span.directory === undefined ? withHoldings(span, NOTHING) : span;
  const start = gift === undefined ? blank : withHoldings(blank, take(NOTHING, me.id, gift));
  // It is among the hosts, or the others would not let it in.
  selfOf(start);
  await establish(session, card, start);
}
