/** The environment that the applications of a chain come back to. */

import { StasisError } from "../../ffi/error.ts";
import type { Environment, Inspection } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { establish } from "../vne/adopting.ts";
import { createOnAll } from "../vne/creating.ts";
import {
  checkNew,
  type EnvironmentCard,
  listEnvironments,
  newCard,
  overlapping,
} from "../vne/environments.ts";
import { allNumbers } from "../vne/holders.ts";
import { hostsOf } from "../vne/hosts.ts";
import { joinForRestore } from "../vne/joining.ts";
import { removeEverywhere, removeHere } from "../vne/removing.ts";
import { secretFor } from "../vne/secrets.ts";
import { type Numbers, union, without } from "../vne/shares.ts";
import { byName, othersOf, readSpan, selfOf, type Span } from "../vne/span.ts";
import { parseSubnet } from "../vne/subnets.ts";
import type { Joining } from "../vne/taking.ts";
import type { ChainRecord } from "./records.ts";
import type { Place } from "./restoring.ts";
import type { Where } from "./returning.ts";

/** An environment for members to come back to. Disposing of it removes one that was made for them, unless it is kept. */
export class Destination implements AsyncDisposable {
  #kept = false;

  constructor(
    readonly session: Session,
    readonly card: EnvironmentCard,
    /** Whether it was made for them, and on which hosts. */
    readonly made: { span: Span | undefined } | undefined,
  ) {}

  /** The environment as it was: the one that is there or, where it was on this host only, made anew. */
  static async former(session: Session, saved: Environment, spans: boolean): Promise<Destination> {
    const found = listEnvironments(session.home).find(({ id }) => id === saved.id);
    if (found !== undefined) return new Destination(session, found, undefined);
    if (spans) throw notThere(saved);
    const { name, subnets, outside, mtu, apart } = saved;
    const card = await newCard(name, subnets.map(parseSubnet), outside, mtu, apart);
    await establish(session, card);
    return new Destination(session, card, { span: undefined });
  }

  /**
   * A new one with the same ranges, on the same hosts. Where this host has those ranges already, it is apart from it: members reach
   * each other, and nobody else.
   */
  static async beside(
    session: Session,
    name: string,
    saved: Environment,
    spans: boolean,
  ): Promise<Destination> {
    const { home } = session;
    const apart = overlapping(home, saved.subnets).length > 0;
    const outside = saved.outside && !apart;
    const subnets = saved.subnets.map(parseSubnet);
    const card = await newCard(name, subnets, outside, saved.mtu, apart ? true : undefined);
    checkNew(home, card);
    const former = spans ? readSpan(home, saved.name) : undefined;
    if (spans && former === undefined) throw notThere(saved);
    if (former === undefined) {
      await establish(session, card);
      return new Destination(session, card, { span: undefined });
    }
    const span = anew(session, card, former);
    for (const note of await createOnAll(session, card, span)) session.output.talk(`  note: ${note}`);
    return new Destination(session, card, { span });
  }

  keep(): void {
    this.#kept = true;
  }

  /** Each member has the address that it had, in this environment. */
  get where(): Where {
    const { session, card } = this;
    const hosts = hostsOf(session.home, card).filter(({ self }) => !self);
    return { place: placeIn(session, card), environment: card.id, hosts };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.made === undefined || this.#kept) return;
    const { session, card, made: { span } } = this;
    using _deaf = session.interrupts.take(() => {});
    if (span === undefined) return await removeHere(session, card.name, true);
    for (const note of await removeEverywhere(session, card, span, true)) {
      session.output.talk(`  note: ${note}`);
    }
  }
}

/** Where the applications of a chain were. */
export function whereOf(session: Session, { environment, members }: ChainRecord): Where {
  const card = environment && listEnvironments(session.home).find(({ id }) => id === environment.id);
  if (card !== undefined) return new Destination(session, card, undefined).where;
  if (environment !== undefined && members.some(({ host }) => host !== undefined)) {
    throw notThere(environment);
  }
  return { place: (inspection) => joinForRestore(session, {}, inspection), hosts: [] };
}

/** Each member has the address that it had, in that environment. Others come back to the network that they had. */
export function placeIn(session: Session, card: EnvironmentCard): Place {
  return async (inspection: Inspection): Promise<Joining> => {
    const [saved] = inspection.links ?? [];
    const [address] = saved?.addresses ?? [];
    if (address === undefined || saved?.environment.id === card.id) {
      return await joinForRestore(session, {}, inspection);
    }
    // Ports of the host belong to the first one.
    return await joinForRestore(session, { vne: `${card.name}=${address}`, publish: [] }, inspection);
  };
}

/** The same hosts for an environment that nobody has been in yet. Each has the numbers that it had, and this host those of nobody. */
function anew(session: Session, card: EnvironmentCard, span: Span): Span {
  const { self, rsh, remote, directory } = span;
  const secret = span.secret === undefined ? undefined : secretFor(session, { encrypt: true });
  // What is known of others may be old, so that two seem to have the same number.
  let taken: Numbers = selfOf(span).numbers;
  const others = othersOf(span).map((host) => {
    const numbers = without(host.numbers, taken);
    taken = union(taken, numbers);
    return { ...host, revision: 1, numbers };
  });
  const own = selfOf(span);
  const rest = directory === undefined ? without(allNumbers(card), taken) : [];
  const here = { ...own, revision: 1, numbers: union(own.numbers, rest) };
  return {
    self,
    hosts: [here, ...others].sort(byName),
    gone: [],
    given: {},
    taken: {},
    ...(rsh !== undefined && { rsh }),
    ...(remote !== undefined && { remote }),
    ...(directory !== undefined && { directory }),
    ...(secret !== undefined && { secret }),
  };
}

function notThere({ name }: Environment): StasisError {
  return StasisError.of("no_target", `Could not find the environment "${name}", which the chain is of`, {
    causes: ["this host does not have it, and the chain has members on other hosts"],
    hint: `Join it where another host has it: stasis vne join ${name} --peer HOST`,
  });
}

/** For a chain of applications that were in no environment, or not in one as a whole. */
export function withoutEnvironment(id: string): StasisError {
  return StasisError.of("usage", `Could not bring an environment back from the chain ${id}`, {
    causes: ["it was not taken of an environment"],
    hint: `Bring its applications back where they were: stasis restore ${id}`,
  });
}
