/**
 * Members of an environment find each other by name: what they see as `/etc/hosts` is one file for each environment on each host.
 * It lists members of this host, from the records of applications, and those of others, from what those hosts have told.
 */

import type { Home, MemberRecord } from "../../ffi/messages.ts";
import { isFolder, makePrivateFolder } from "../catalog/home.ts";
import type { Session } from "../session.ts";
import { arrivalsIn, isNamed } from "./arrivals.ts";
import { type EnvironmentCard, folderOf } from "./environments.ts";
import { Lock, readJson, removeIfThere, replaceJson } from "./files.ts";
import { rewriteHosts } from "./hosts_file.ts";
import { linesFor, type NamedMember } from "./name_lines.ts";

export type { NamedMember };

/** The file that members of an environment see as `/etc/hosts` (native/crates/capsule/src/names.rs). */
export function hostsFileOf(home: Home, { id }: { id: string }): string {
  return `${home.run}/names/${id}`;
}

/** The members on this host, for others: running ones first, newer ones before older ones. */
export async function membersHere(session: Session, { id }: { id: string }): Promise<NamedMember[]> {
  // A signal ends the command at a step that takes time, and this must not be left half done.
  const { members } = await session.engine.start("members", { environment: id }).done;
  const sorted = members.toSorted((one, other) =>
    Number(other.running) - Number(one.running) || (one.started < other.started ? 1 : -1)
  );
  return sorted.map(toNamed);
}

function toNamed({ name, hostname, running, addresses }: MemberRecord): NamedMember {
  return { name, ...(hostname !== undefined && { hostname }), running, addresses };
}

/** Notes who is in an environment on another host, in the place of what was known. {@linkcode refreshNames} makes it seen. */
export async function noteMembers(
  home: Home,
  environment: EnvironmentCard,
  host: string,
  members: readonly NamedMember[],
): Promise<void> {
  const folder = folderOf(home, environment.name);
  makePrivateFolder(membersOf(folder));
  using _lock = await lockNames(folder);
  replaceJson(fileOf(folder, host), members, { durable: false });
}

/** Forgets another host, likewise. */
export async function forgetMembers(home: Home, environment: EnvironmentCard, host: string): Promise<void> {
  const folder = folderOf(home, environment.name);
  using _lock = await lockNames(folder);
  removeIfThere(fileOf(folder, host));
}

function membersOf(folder: string): string {
  return `${folder}/members`;
}

function fileOf(folder: string, host: string): string {
  return `${membersOf(folder)}/${encodeURIComponent(host)}.json`;
}

/** What other hosts have told, by their names. */
export function membersElsewhere(home: Home, environment: EnvironmentCard): Map<string, NamedMember[]> {
  const folder = membersOf(folderOf(home, environment.name));
  if (!isFolder(folder)) return new Map();
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((one) => one.endsWith(".json"));
  return new Map(
    files.sort().map((file) => {
      const told = readJson(`${folder}/${file}`);
      const members = Array.isArray(told) ? told.filter(isNamedMember) : [];
      return [decodeURIComponent(file.slice(0, -".json".length)), members];
    }),
  );
}

function isNamedMember(value: unknown): value is NamedMember {
  return isNamed(value) && typeof (value as Partial<NamedMember>).running === "boolean";
}

/** Writes anew what members of an environment see. What `change` does to its folder comes before, in the same step. */
export async function refreshNames(
  session: Session,
  environment: EnvironmentCard,
  change: (folder: string) => void = () => {},
): Promise<void> {
  const { home } = session;
  const folder = folderOf(home, environment.name);
  // Removed by force meanwhile.
  if (!isFolder(folder)) return;
  using _lock = await lockNames(folder);
  change(folder);
  makePrivateFolder(`${home.run}/names`);
  // Records come after the lock: whoever wrote before has seen no later ones.
  const here = await membersHere(session, environment);
  const taken = new Set(here.filter(({ running }) => running).map(({ name }) => name));
  const known = [
    ...here.filter(({ running }) => running),
    // One that asks for the name of another is going to be refused.
    ...arrivalsIn(folder).filter(({ name }) => !taken.has(name)).map((one) => ({ ...one, running: true })),
    ...here.filter(({ running }) => !running),
    ...[...membersElsewhere(home, environment).values()].flat(),
  ];
  rewriteHosts(hostsFileOf(home, environment), environment.name, linesFor(environment, known));
}

/** Removes what the last member of an environment has left. A file that members still see stays. */
export function dropNames(home: Home, environment: { id: string }): void {
  removeIfThere(hostsFileOf(home, environment));
}

/** Keeps other commands from changing what is known of an environment's names. */
export function lockNames(folder: string): Promise<Lock> {
  return Lock.on(`${folder}/.names.lock`);
}
