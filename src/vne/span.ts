/**
 * What a host knows of an environment that several hosts have: who they are, where they are reached, and which numbers each may
 * hand out. Of itself a host knows it for certain; of others, what they have said last.
 */

import { StasisError } from "../../ffi/error.ts";
import type { Home } from "../../ffi/messages.ts";
import { folderOf } from "./environments.ts";
import { Lock, readJson, replaceJson } from "./files.ts";
import { forget, type Gift, type Holdings } from "./holdings.ts";
import { type Numbers, readNumbers } from "./shares.ts";
import { parseAddress } from "./subnets.ts";

/** One of the hosts of an environment. */
export interface Host {
  /** Chosen when it came in; one that leaves and comes back has another. */
  id: string;
  name: string;
  /** Its address in the network that connects the hosts. */
  address: string;
  /** As the remote shell takes it, where that is not its name. */
  reach?: string;
  /** Counts what it has said of itself. */
  revision: number;
  numbers: Numbers;
}

/** A host that has left, or was declared gone. */
export interface Gone {
  id: string;
  name: string;
}

/** What hosts tell each other of themselves and of others. */
export interface Word {
  hosts: readonly Host[];
  gone: readonly Gone[];
}

export interface Span extends Word, Omit<Holdings, "numbers"> {
  /** The id of this host. */
  self: string;
  /** The remote shell, in words. */
  rsh?: string;
  /** The path of stasis on the other hosts. */
  remote?: string;
  /** The addresses of etcd. */
  directory?: readonly string[];
  /** Of the traffic between hosts, 64 hexadecimal digits. */
  secret?: string;
}

const FILE = "span.json";
/** How many hosts an environment can have, also in what comes from elsewhere. */
export const MOST_HOSTS = 1024;
const MOST_GONE = 1 << 14;

function fileOf(folder: string): string {
  return `${folder}/${FILE}`;
}

/** What is known of the hosts of an environment; undefined where this is the only one. */
export function readSpan(home: Home, name: string): Span | undefined {
  const path = fileOf(folderOf(home, name));
  const value = readJson(path);
  if (value === undefined) return undefined;
  const span = spanIn(value);
  if (span !== undefined) return span;
  throw StasisError.of("other", `Could not read "${path}"`, {
    causes: ["it does not say which hosts the environment has"],
    hint: `Remove the environment from this host and join it again: stasis vne rm --force ${name}`,
  });
}

/** Notes what is known of the hosts. Call it under the lock of the environment. */
export function writeSpan(home: Home, name: string, span: Span): void {
  replaceJson(fileOf(folderOf(home, name)), span, { durable: true });
}

/** Changes what is known while no other command does. `change` must wait for no other host. */
export async function changeSpan<T>(
  home: Home,
  name: string,
  change: (span: Span) => { span: Span; result: T } | Promise<{ span: Span; result: T }>,
): Promise<T> {
  using _lock = await lockEnvironment(home, name);
  const before = readSpan(home, name);
  if (before === undefined) throw onOneHost(name);
  const { span, result } = await change(before);
  if (span !== before) writeSpan(home, name, span);
  return result;
}

/** The lock under which addresses are handed out, and the hosts change. */
export async function lockEnvironment(home: Home, name: string): Promise<Lock> {
  try {
    return await Lock.on(`${folderOf(home, name)}/.lock`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw StasisError.of("no_target", `Could not find an environment "${name}"`, {
    causes: ["another command has just removed it"],
  });
}

/** What this host knows of itself. */
export function selfOf({ self, hosts }: Pick<Span, "self" | "hosts">): Host {
  const own = hosts.find(({ id }) => id === self);
  if (own !== undefined) return own;
  throw StasisError.of("internal", "Could not find this host among those of an environment");
}

/** The hosts beside this one. */
export function othersOf({ self, hosts }: Pick<Span, "self" | "hosts">): Host[] {
  return hosts.filter(({ id }) => id !== self);
}

export function holdingsOf(span: Span): Holdings {
  return { numbers: selfOf(span).numbers, given: span.given, taken: span.taken };
}

/** The same with other holdings of this host. */
export function withHoldings(span: Span, { numbers, given, taken }: Holdings): Span {
  const hosts = span.hosts.map((host) =>
    host.id === span.self ? { ...host, numbers, revision: host.revision + 1 } : host
  );
  return { ...span, hosts, given, taken };
}

/** Takes in what another host says: of each host what it said last, and who is gone. Of itself a host believes nobody. */
export function hearsay(span: Span, { hosts, gone }: Word): Span {
  const known = new Map(span.hosts.map((host) => [host.id, host]));
  for (const host of hosts) {
    const before = known.get(host.id);
    if (host.id === span.self || (before !== undefined && before.revision >= host.revision)) continue;
    known.set(host.id, host);
  }
  const left = new Map([...span.gone, ...gone].map((one) => [one.id, one]));
  const there = [...known.values()].filter(({ id }) => id === span.self || !left.has(id));
  const holdings = forget(holdingsOf(span), [...left.keys()]);
  const { given, taken } = holdings;
  return { ...span, hosts: there.sort(byName), gone: [...left.values()], given, taken };
}

/** Whether the others have declared this host gone. */
export function isBanished({ self, gone }: Pick<Span, "self" | "gone">): boolean {
  return gone.some(({ id }) => id === self);
}

export function byName(one: { name: string }, other: { name: string }): number {
  return one.name < other.name ? -1 : one.name > other.name ? 1 : 0;
}

/** What this host tells others. */
export function wordOf({ hosts, gone }: Span): Word {
  return { hosts, gone };
}

export function onOneHost(name: string): StasisError {
  return StasisError.of("usage", `The environment "${name}" is on this host only`, {
    hint: "An environment gets its first other hosts when it is made: stasis vne create --peer HOST",
  });
}

/** Reads what another host, or a directory, says. */
export function wordIn(value: unknown): Word | undefined {
  if (!isRecord(value) || !Array.isArray(value.hosts) || !Array.isArray(value.gone)) return undefined;
  if (value.hosts.length > MOST_HOSTS || value.gone.length > MOST_GONE) return undefined;
  const hosts = value.hosts.map(hostIn);
  const gone = value.gone.map(goneIn);
  if (!hosts.every((one) => one !== undefined) || !gone.every((one) => one !== undefined)) return undefined;
  return { hosts, gone };
}

export function hostIn(value: unknown): Host | undefined {
  if (!isRecord(value)) return undefined;
  const { id, name, address, reach, revision } = value;
  const numbers = readNumbers(value.numbers);
  const sound = isText(id) && isText(name) && isText(address) && parseAddress(address) !== undefined &&
    (reach === undefined || isText(reach)) && isCount(revision) && numbers !== undefined;
  if (!sound) return undefined;
  return { id, name, address, ...(reach !== undefined && { reach }), revision, numbers };
}

export function goneIn(value: unknown): Gone | undefined {
  if (!isRecord(value) || !isText(value.id) || !isText(value.name)) return undefined;
  return { id: value.id, name: value.name };
}

export function giftIn(value: unknown): Gift | undefined {
  if (!isRecord(value) || !isCount(value.sequence)) return undefined;
  const numbers = readNumbers(value.numbers);
  return numbers === undefined ? undefined : { sequence: value.sequence, numbers };
}

/** Reads what a host says that it may hand out. */
export function holdingsIn(value: unknown): Holdings | undefined {
  if (!isRecord(value)) return undefined;
  const numbers = readNumbers(value.numbers);
  const dealings = dealingsIn(value);
  return numbers === undefined || dealings === undefined ? undefined : { numbers, ...dealings };
}

function dealingsIn(value: Record<string, unknown>): Pick<Holdings, "given" | "taken"> | undefined {
  const given = entriesIn(value.given, giftIn);
  const taken = entriesIn(value.taken, (one) => isCount(one) ? one : undefined);
  return given === undefined || taken === undefined ? undefined : { given, taken };
}

export function spanIn(value: unknown): Span | undefined {
  const word = wordIn(value);
  if (word === undefined || !isRecord(value) || !isText(value.self)) return undefined;
  const { self, rsh, remote, secret, directory } = value;
  const dealings = dealingsIn(value);
  const sound = dealings !== undefined && word.hosts.some(({ id }) => id === self) &&
    [rsh, remote, secret].every((one) => one === undefined || isText(one)) &&
    (directory === undefined || (Array.isArray(directory) && directory.every(isText)));
  if (!sound) return undefined;
  return {
    ...word,
    self,
    ...dealings,
    ...(isText(rsh) && { rsh }),
    ...(isText(remote) && { remote }),
    ...(isText(secret) && { secret }),
    ...(Array.isArray(directory) && { directory }),
  };
}

function entriesIn<T>(value: unknown, read: (one: unknown) => T | undefined): Record<string, T> | undefined {
  if (!isRecord(value)) return undefined;
  const entries = Object.entries(value).map(([id, one]) => [id, read(one)] as const);
  return entries.every(([, one]) => one !== undefined)
    ? Object.fromEntries(entries) as Record<string, T>
    : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 1024;
}

export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
