/** Giving addresses to other hosts of an environment. */

import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { Directory, informed, moved } from "./directory.ts";
import { type EnvironmentCard, folderOf } from "./environments.ts";
import { addressesOf, type Holder, holdersOf, liveClaims } from "./holders.ts";
import { give } from "./holdings.ts";
import { makingOf } from "./hosts.ts";
import { answering, type Asked, isFromGone, senseless, understand } from "./questions.ts";
import { common, countOf, each, halfOf, has, type Numbers, only, readNumbers, without } from "./shares.ts";
import {
  changeSpan,
  holdingsOf,
  isCount,
  isRecord,
  lockEnvironment,
  readSpan,
  selfOf,
  type Span,
  withHoldings,
  writeSpan,
} from "./span.ts";
import type { Want } from "./claims.ts";

/** Answers a host that wants addresses: the very ones while no application here runs with them, or half of those that are free. */
export async function giveAway(session: Session, args: unknown): Promise<unknown> {
  const asked = await understand(session, args);
  const { card, from, args: { arrived } } = asked;
  if (isFromGone(asked)) return answering(session, card);
  const want = wantIn(asked);
  if (!isCount(arrived)) throw senseless();
  const given = await giveTo(session, card, from, arrived, want);
  await vacate(session, card);
  return answering(session, card, { ...given });
}

/** Has the kernel forget ended applications here whose addresses another host hands out: it takes their packets for false ones. */
async function vacate(session: Session, card: EnvironmentCard): Promise<void> {
  using _lock = await lockEnvironment(session.home, card.name);
  const span = readSpan(session.home, card.name);
  if (span === undefined) return;
  const owned = selfOf(span).numbers;
  const absent = [...holdersOf(card, await session.applications())]
    .filter(([number, { running }]) => !running && !has(owned, number))
    .flatMap(([number]) => addressesOf(card, number));
  if (absent.length > 0) await session.perform("make_environment", { ...makingOf(card, span), absent });
}

function wantIn({ args: { want } }: Asked): Want {
  const { count, numbers } = isRecord(want) ? want : {};
  const exact = readNumbers(numbers);
  if (exact !== undefined) return { numbers: exact };
  if (isCount(count)) return { count };
  throw senseless();
}

/** Gives numbers to a host of the environment. With a directory it is the directory that says what was given. */
export async function giveTo(
  session: Session,
  card: EnvironmentCard,
  to: string,
  arrived: number,
  want: Want,
): Promise<Record<string, unknown>> {
  const { home } = session;
  return await changeSpan<Record<string, unknown>>(home, card.name, async (span) => {
    const taken = await takenNumbers(session, card);
    const choose = (owned: Numbers) => choice(card, owned, taken, want);
    const directory = Directory.of(span, card);
    if (directory === undefined) {
      const before = holdingsOf(span);
      const { holdings, gift } = give(before, to, arrived, choose);
      const isNew = holdings !== before;
      // One that had been lost has nothing to do with what is wanted now.
      const again = !isNew && gift.sequence > arrived;
      return { span: isNew ? withHoldings(span, holdings) : span, result: { gift, again } };
    }
    const numbers = choose(selfOf(span).numbers);
    writeSpan(home, card.name, letGo(span, numbers));
    const document = await directory.change((one) => moved(one, span.self, to, numbers));
    return { span: informed(span, document), result: {} };
  });
}

/** From here on this host does not hand them out, whatever becomes of the directory. */
function letGo(span: Span, numbers: Numbers): Span {
  const holdings = holdingsOf(span);
  return withHoldings(span, { ...holdings, numbers: without(holdings.numbers, numbers) });
}

/** Who has numbers here. */
interface Taken {
  holders: ReadonlyMap<number, Holder>;
  claimed: Numbers;
}

async function takenNumbers(session: Session, card: EnvironmentCard): Promise<Taken> {
  const claimed = only(liveClaims(folderOf(session.home, card.name)).map(({ number }) => number));
  return { holders: holdersOf(card, await session.applications()), claimed };
}

function choice(card: EnvironmentCard, owned: Numbers, { holders, claimed }: Taken, want: Want): Numbers {
  if ("numbers" in want) {
    const wanted = common(owned, want.numbers);
    for (const number of each(wanted)) {
      const holder = holders.get(number);
      if (holder?.running === true) throw inUse(card, number, `the application "${holder.name}" has it`);
      if (has(claimed, number)) {
        throw inUse(card, number, "another command is giving it to an application");
      }
    }
    return wanted;
  }
  const running = [...holders].filter(([, holder]) => holder.running).map(([number]) => number);
  const unclaimed = without(owned, claimed);
  const [never, now] = [only(holders.keys()), only(running)].map((some) => halfOf(without(unclaimed, some)));
  return never !== undefined && countOf(never) > 0 ? never : now ?? [];
}

function inUse(card: EnvironmentCard, number: number, cause: string): StasisError {
  return StasisError.of("refused", `Could not give away the address ${addressesOf(card, number)[0]}`, {
    causes: [cause],
  });
}
