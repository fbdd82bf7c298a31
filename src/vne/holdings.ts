/**
 * Which numbers a host may hand out, and how it gives some of them to another one: such that no number has two owners, whatever
 * is lost on the way.
 *
 * A host's own file is the only place that says what it owns. Who gives writes that first, and then answers. Should the answer be
 * lost, the next question shows that: it says how many gifts have arrived, and the last one is sent again. So there is one gift at
 * most between two hosts that is not known to have arrived.
 */

import { StasisError } from "../../ffi/error.ts";
import { has, type Numbers, union, without } from "./shares.ts";

export interface Gift {
  /** Counts the gifts from one host to another, from 1 on. */
  sequence: number;
  numbers: Numbers;
}

export interface Holdings {
  /** What this host may hand out. */
  numbers: Numbers;
  /** The last gift to each host, by the host's id. */
  given: Readonly<Record<string, Gift>>;
  /** How many gifts of each host have arrived here, by the host's id. */
  taken: Readonly<Record<string, number>>;
}

export const NOTHING: Holdings = { numbers: [], given: {}, taken: {} };

/**
 * What a host that has got `arrived` gifts from this one is to get: the last gift again where that has not arrived, else a new
 * one, which `choose` picks of what is owned. Where it picks nothing, the last one stands, which changes nothing there.
 */
export function give(
  holdings: Holdings,
  to: string,
  arrived: number,
  choose: (owned: Numbers) => Numbers,
): { holdings: Holdings; gift: Gift } {
  const last = holdings.given[to] ?? { sequence: 0, numbers: [] };
  if (arrived === last.sequence - 1) return { holdings, gift: last };
  if (arrived !== last.sequence) throw disagreement(arrived, last.sequence);
  const numbers = choose(holdings.numbers);
  if (numbers.length === 0) return { holdings, gift: last };
  const gift = { sequence: last.sequence + 1, numbers };
  const given = { ...holdings.given, [to]: gift };
  return { holdings: { ...holdings, numbers: without(holdings.numbers, numbers), given }, gift };
}

/** Accepts a gift; one that has arrived before changes nothing. */
export function take(holdings: Holdings, from: string, { sequence, numbers }: Gift): Holdings {
  const arrived = holdings.taken[from] ?? 0;
  if (sequence <= arrived) return holdings;
  if (sequence !== arrived + 1) throw disagreement(arrived, sequence);
  return {
    ...holdings,
    numbers: union(holdings.numbers, numbers),
    taken: { ...holdings.taken, [from]: sequence },
  };
}

/** Forgets the dealings with hosts that are gone for good. */
export function forget(holdings: Holdings, gone: readonly string[]): Holdings {
  const keep = <T>(of: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(of).filter(([id]) => !gone.includes(id)));
  return { ...holdings, given: keep(holdings.given), taken: keep(holdings.taken) };
}

/** What nobody of these hosts owns, of all numbers; a gift that is still on its way is the receiver's. */
export function unowned(all: Numbers, hosts: Readonly<Record<string, Holdings>>): Numbers {
  const onTheWay = Object.entries(hosts).flatMap(([from, { given }]) =>
    Object.entries(given).flatMap(([to, { sequence, numbers }]) => {
      const receiver = hosts[to];
      return receiver !== undefined && (receiver.taken[from] ?? 0) < sequence ? [numbers] : [];
    })
  );
  return without(all, union(...onTheWay, ...Object.values(hosts).map(({ numbers }) => numbers)));
}

/** Who has this number by what hosts have said of themselves. */
export function ownerOf<T extends { numbers: Numbers }>(hosts: readonly T[], number: number): T | undefined {
  return hosts.find(({ numbers }) => has(numbers, number));
}

function disagreement(arrived: number, sent: number): StasisError {
  return StasisError.of("other", "Could not agree with another host on who owns which addresses", {
    causes: [
      `${sent} gifts were sent and ${arrived} have arrived: one of the two has gone back to an old state`,
    ],
    hint: "On the host that was put back to an old state, leave the environment and join it again",
  });
}
