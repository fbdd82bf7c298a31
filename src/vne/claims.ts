/**
 * Who has which address. What an application has stands in its own record, from its start until it is removed; a claim is for
 * the time before that, and ends with the command that made it.
 */

import { StasisError } from "../../ffi/error.ts";
import type { Application, NetworkLink } from "../../ffi/messages.ts";
import { isFolder } from "../catalog/home.ts";
import type { Session } from "../session.ts";
import { describe, type EnvironmentCard, folderOf } from "./environments.ts";
import { isAlive, Lock, type Maker, readJson, replaceJson, self } from "./files.ts";
import { formatAddress, memberNumbers, numberOf, parseAddress, parseSubnet, type Subnet } from "./subnets.ts";

/** The interface of an application that leads to its environment. */
const INTERFACE = "eth0";

/** Numbers are below this (native/crates/network/src/names.rs). */
const MOST_NUMBERS = 1n << 20n;

interface Claim extends Maker {
  number: number;
}

/** An application, running or ended, that has a number. */
interface Holder {
  name: string;
  running: boolean;
}

/** What this command takes of an environment's addresses. Disposing of it gives up what no application has come to have. */
export class Claims implements Disposable {
  readonly #subnets: Subnet[];
  readonly #own: Claim[] = [];
  #lock: Lock | undefined;

  private constructor(
    readonly environment: EnvironmentCard,
    readonly folder: string,
    lock: Lock,
    readonly others: readonly Claim[],
    readonly holders: ReadonlyMap<number, Holder>,
  ) {
    this.#lock = lock;
    this.#subnets = environment.subnets.map(parseSubnet);
  }

  /** Keeps other commands from taking addresses of the environment until these are settled. */
  static async open(session: Session, environment: EnvironmentCard): Promise<Claims> {
    const folder = folderOf(session.home, environment.name);
    const lock = await lockOf(folder, environment.name);
    try {
      const claims = readClaims(folder).filter(isAlive);
      // After the claims: whoever has given up one since then is listed.
      return new Claims(
        environment,
        folder,
        lock,
        claims,
        holdersOf(environment, await session.applications()),
      );
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Takes the asked address, or the next free one. */
  take(asked?: string): NetworkLink {
    const number = asked === undefined ? this.#nextFree() : this.#asked(asked);
    this.#own.push({ number, ...self() });
    return this.#link(number);
  }

  /** Takes `count` addresses, from the asked one on. */
  takeMany(count: number, asked?: string): NetworkLink[] {
    const links: NetworkLink[] = [];
    const first = asked === undefined ? undefined : this.#numberIn(asked);
    while (links.length < count) {
      if (first === undefined || links.length === 0) links.push(this.take(asked));
      else links.push(this.#following(first));
    }
    return links;
  }

  /** Whether the asked address is one of the environment that no running application has. */
  isFree(asked: string): boolean {
    try {
      this.#asked(asked);
      return true;
    } catch (error) {
      if (error instanceof StasisError) return false;
      throw error;
    }
  }

  /** Lets other commands go on: they see what was taken. */
  settle(): void {
    replaceJson(fileOf(this.folder), [...this.others, ...this.#own], { durable: false });
    this.#unlock();
  }

  [Symbol.dispose](): void {
    if (this.#lock !== undefined) return this.#unlock();
    // Removed by force meanwhile.
    if (!isFolder(this.folder)) return;
    using _lock = Lock.now(`${this.folder}/.lock`);
    const own = new Set(this.#own.map(({ number }) => number));
    const left = readClaims(this.folder).filter(({ number }) => !own.has(number));
    replaceJson(fileOf(this.folder), left, { durable: false });
  }

  #unlock(): void {
    this.#lock?.[Symbol.dispose]();
    this.#lock = undefined;
  }

  #isClaimed(number: number): boolean {
    return [...this.others, ...this.#own].some((claim) => claim.number === number);
  }

  /** Addresses that nobody has first; then those of applications that have ended. */
  #nextFree(from = 0): number {
    const [first, last] = this.#numbers();
    const claimed = new Set([...this.others, ...this.#own].map(({ number }) => number));
    for (const isFree of [(one: number) => !this.holders.has(one), (one: number) => !this.#isRunning(one)]) {
      for (let number = Math.max(first, from); number <= last; number++) {
        if (!claimed.has(number) && isFree(number)) return number;
      }
    }
    throw StasisError.of("usage", `Could not find an address in the environment "${this.environment.name}"`, {
      causes: [`all of ${this.environment.subnets.join(" and ")} are taken`],
      hint: "Stop an application of it, or make an environment with a larger range",
    });
  }

  #following(first: number): NetworkLink {
    const number = this.#nextFree(first);
    this.#own.push({ number, ...self() });
    return this.#link(number);
  }

  #isRunning(number: number): boolean {
    return this.holders.get(number)?.running === true;
  }

  #asked(asked: string): number {
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
    const address = parseAddress(asked);
    const numbers = address === undefined ? [] : this.#subnets.map((subnet) => numberOf(subnet, address));
    const number = numbers.find((one) => one !== undefined);
    const [first, last] = this.#numbers();
    if (number !== undefined && number >= first && number <= last) return Number(number);
    throw this.#refused(asked, `members have addresses of ${this.environment.subnets.join(" and ")}`);
  }

  #refused(asked: string, cause: string): StasisError {
    return StasisError.of("usage", `Could not use the address "${asked}"`, {
      causes: [cause],
      hint:
        `"stasis vne show ${this.environment.name}" lists who has which; without an address the next free one is taken`,
    });
  }

  /** The first and the last number that has an address in every range. */
  #numbers(): [number, number] {
    const bounds = this.#subnets.map(memberNumbers);
    const first = bounds.reduce((most, [one]) => one > most ? one : most, 0n);
    const last = bounds.reduce((least, [, one]) => one < least ? one : least, MOST_NUMBERS - 1n);
    return [Number(first), Number(last)];
  }

  #link(number: number): NetworkLink {
    const addresses = this.#subnets.map(({ version, first }) =>
      formatAddress({ version, value: first + BigInt(number) })
    );
    return { environment: describe(this.environment), interface: INTERFACE, addresses };
  }
}

/** The links of an application that lead into an environment. */
export function linksInto(
  environment: { id: string },
  { network }: Pick<Application, "network">,
): NetworkLink[] {
  if (network === "host") return [];
  return (network.own.links ?? []).filter((link) => link.environment.id === environment.id);
}

function holdersOf(environment: EnvironmentCard, applications: readonly Application[]): Map<number, Holder> {
  const subnets = environment.subnets.map(parseSubnet);
  const holders = new Map<number, Holder>();
  for (const application of applications) {
    const running = application.state === "running";
    for (const text of linksInto(environment, application).flatMap(({ addresses }) => addresses)) {
      const address = parseAddress(text);
      const number = address &&
        subnets.map((subnet) => numberOf(subnet, address)).find((one) => one !== undefined);
      if (number === undefined || (holders.has(Number(number)) && !running)) continue;
      holders.set(Number(number), { name: application.name, running });
    }
  }
  return holders;
}

function fileOf(folder: string): string {
  return `${folder}/claims.json`;
}

/** Whether commands are giving addresses of the environment to applications. */
export function isBeingJoined(folder: string): boolean {
  return readClaims(folder).some(isAlive);
}

function readClaims(folder: string): Claim[] {
  const claims = readJson(fileOf(folder));
  return Array.isArray(claims) ? claims.filter(isClaim) : [];
}

function isClaim(value: unknown): value is Claim {
  if (typeof value !== "object" || value === null) return false;
  const { number, pid, started } = value as Partial<Record<keyof Claim, unknown>>;
  return typeof number === "number" && typeof pid === "number" && typeof started === "string";
}

async function lockOf(folder: string, name: string): Promise<Lock> {
  try {
    return await Lock.on(`${folder}/.lock`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw StasisError.of("no_target", `Could not find an environment "${name}"`, {
      causes: ["another command has just removed it"],
    });
  }
}
