/**
 * Who gets which address. What an application has stands in its own record, from its start until it is removed; a claim is for
 * the time before that, and ends with the command that made it. Of an environment on several hosts each hands out only the
 * numbers that it owns.
 */

import { StasisError } from "../../ffi/error.ts";
import type { NetworkLink } from "../../ffi/messages.ts";
import { isFolder } from "../catalog/home.ts";
import type { Session } from "../session.ts";
import { describe, type EnvironmentCard, folderOf } from "./environments.ts";
import { Lock, self } from "./files.ts";
import {
  addressesOf,
  allNumbers,
  type Claim,
  type Holder,
  holdersOf,
  liveClaims,
  numberIn,
  writeClaims,
} from "./holders.ts";
import { each, has, type Numbers, only, without } from "./shares.ts";
import { lockEnvironment, readSpan, selfOf, type Span } from "./span.ts";

/** The interface of an application that leads to its environment. */
const INTERFACE = "eth0";

/** What another host has to give first: these very numbers, or so many of any. */
export type Want = { numbers: Numbers } | { count: number };

/** Thrown where addresses lack that other hosts may give. `refusal` is what is to be said when none does. */
export class Lacking {
  constructor(readonly want: Want, readonly refusal: StasisError) {}
}

/** What this command takes of an environment's addresses. Disposing of it gives up what no application has come to have. */
export class Claims implements Disposable {
  readonly #all: Numbers;
  readonly #owned: Numbers;
  readonly #own: Claim[] = [];
  /** What nobody has ever had, and what no running application has. */
  #free: [never: Numbers, now: Numbers];
  #lock: Lock | undefined;

  private constructor(
    readonly environment: EnvironmentCard,
    readonly folder: string,
    lock: Lock,
    readonly others: readonly Claim[],
    readonly holders: ReadonlyMap<number, Holder>,
    span: Span | undefined,
  ) {
    this.#lock = lock;
    this.#all = allNumbers(environment);
    this.#owned = span === undefined ? this.#all : selfOf(span).numbers;
    const running = [...holders].filter(([, holder]) => holder.running).map(([number]) => number);
    const unclaimed = without(this.#owned, only(others.map(({ number }) => number)));
    this.#free = [without(unclaimed, only(holders.keys())), without(unclaimed, only(running))];
  }

  /** Keeps other commands from taking addresses of the environment until these are settled. */
  static async open(session: Session, environment: EnvironmentCard): Promise<Claims> {
    const { home } = session;
    const folder = folderOf(home, environment.name);
    const lock = await lockEnvironment(home, environment.name);
    try {
      const claims = liveClaims(folder);
      // After the claims: whoever has given up one since then is listed.
      const holders = holdersOf(environment, await session.applications());
      return new Claims(environment, folder, lock, claims, holders, readSpan(home, environment.name));
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Takes the asked address, or the next free one. */
  take(asked?: string): NetworkLink {
    const number = asked === undefined ? this.#nextFree(1) : this.#asked(asked);
    return this.#link(number);
  }

  /** Takes an address that another host owns, and lets an application have here that is to come from there. */
  takeEntrusted(address: string): NetworkLink {
    return this.#link(this.#requireFree(address));
  }

  /** Takes `count` addresses, from the asked one on. */
  takeMany(count: number, asked?: string): NetworkLink[] {
    const links: NetworkLink[] = [];
    const first = asked === undefined ? 0 : this.#numberIn(asked);
    while (links.length < count) {
      if (links.length === 0 && asked !== undefined) links.push(this.take(asked));
      else links.push(this.#link(this.#nextFree(count - links.length, first)));
    }
    return links;
  }

  /** Asks for addresses together, where this host does not own them all. */
  require(asked: readonly string[]): void {
    const lacking = asked.filter((address) => !has(this.#owned, this.#numberIn(address)));
    if (lacking.length === 0) return;
    const numbers = only(lacking.map((address) => this.#numberIn(address)));
    throw new Lacking({ numbers }, this.#refused(lacking.join(", "), "other hosts own it"));
  }

  /** Whether the asked address is one of the environment that no running application has. */
  isFree(asked: string): boolean {
    try {
      this.#requireFree(asked);
      return true;
    } catch (error) {
      if (error instanceof StasisError) return false;
      throw error;
    }
  }

  /** Lets other commands go on: they see what was taken. */
  settle(): void {
    writeClaims(this.folder, [...this.others, ...this.#own]);
    this.#unlock();
  }

  [Symbol.dispose](): void {
    if (this.#lock !== undefined) return this.#unlock();
    // Removed by force meanwhile.
    if (!isFolder(this.folder)) return;
    using _lock = Lock.now(`${this.folder}/.lock`);
    const { pid, started } = self();
    const own = new Set(this.#own.map(({ number }) => number));
    const isOwn = (claim: Claim) => claim.pid === pid && claim.started === started && own.has(claim.number);
    writeClaims(this.folder, liveClaims(this.folder).filter((claim) => !isOwn(claim)));
  }

  #unlock(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }

  #isClaimed(number: number): boolean {
    return [...this.others, ...this.#own].some((claim) => claim.number === number);
  }

  /** Addresses that nobody has first; then those of applications that have ended. `needed` is how many are, with this one. */
  #nextFree(needed: number, from = 0): number {
    for (const free of this.#free) {
      const [number] = each(free, from);
      if (number !== undefined) return number;
    }
    throw new Lacking(
      { count: needed },
      StasisError.of("usage", `Could not find an address in the environment "${this.environment.name}"`, {
        causes: [`all of ${this.environment.subnets.join(" and ")} are taken`],
        hint: "Stop an application of it, or make an environment with a larger range",
      }),
    );
  }

  #asked(asked: string): number {
    const number = this.#requireFree(asked);
    if (has(this.#owned, number)) return number;
    throw new Lacking({ numbers: [[number, number]] }, this.#refused(asked, "another host owns it"));
  }

  #requireFree(asked: string): number {
    const number = this.#numberIn(asked);
    const holder = this.holders.get(number);
    if (holder?.running === true) throw this.#refused(asked, `the application "${holder.name}" has it`);
    if (this.#own.some((claim) => claim.number === number)) {
      throw this.#refused(asked, "another clone is to have it");
    }
    if (this.#isClaimed(number)) throw this.#refused(asked, "another command is giving it to an application");
    return number;
  }

  #numberIn(asked: string): number {
    const number = numberIn(this.environment, asked);
    if (number !== undefined && has(this.#all, number)) return number;
    throw this.#refused(asked, `members have addresses of ${this.environment.subnets.join(" and ")}`);
  }

  #refused(asked: string, cause: string): StasisError {
    return StasisError.of("usage", `Could not use the address "${asked}"`, {
      causes: [cause],
      hint:
        `"stasis vne show ${this.environment.name}" lists who has which; without an address the next free one is taken`,
    });
  }

  #link(number: number): NetworkLink {
    this.#own.push({ number, ...self() });
    const [never, now] = this.#free;
    this.#free = [without(never, [[number, number]]), without(now, [[number, number]])];
    const { environment } = this;
    const addresses = addressesOf(environment, number);
    return { environment: describe(environment), interface: INTERFACE, addresses };
  }
}
