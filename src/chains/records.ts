/**
 * The chains of the store: snapshots of several applications at one moment. A record says which belong together. It appears when all of
 * them are complete and on disk, so a chain exists wholly or not at all.
 */

import { StasisError } from "../../ffi/error.ts";
import type { Environment, Home } from "../../ffi/messages.ts";
import { isFolder } from "../catalog/home.ts";
import { isId } from "../catalog/names.ts";
import { readJson, replaceJson } from "../vne/files.ts";

/** One application of a chain, and its snapshot. */
export interface ChainMember {
  name: string;
  aid: string;
  snapshot: string;
  /** The host whose store has it; absent for this one. */
  host?: string;
}

export interface ChainRecord {
  id: string;
  /** ISO 8601. */
  created: string;
  members: ChainMember[];
  tags: string[];
  /** The environment that was captured, where it was one as a whole. */
  environment?: Environment;
  /** The host that took the chain and has the whole record, where that is another one. */
  of?: string;
  /** That host has not said yet that the chain stands. */
  pending?: true;
}

const ENDING = ".json";

export function chainsOf(home: Home): string {
  return `${home.data}/chains`;
}

export function recordFile(home: Home, id: string): string {
  return `${chainsOf(home)}/${id}${ENDING}`;
}

/** All chains, newest first. What cannot be read is passed to `damaged`. */
export function listChains(home: Home, damaged: (id: string) => void = () => {}): ChainRecord[] {
  const folder = chainsOf(home);
  if (!isFolder(folder)) return [];
  const ids = [...Deno.readDirSync(folder)].flatMap(({ name }) => {
    const id = name.endsWith(ENDING) ? name.slice(0, -ENDING.length) : "";
    return isId(id) ? [id] : [];
  });
  const records = ids.flatMap((id) => {
    const record = readRecord(home, id);
    if (record === undefined) damaged(id);
    return record === undefined ? [] : [record];
  });
  return records.sort((one, other) => other.created.localeCompare(one.created));
}

export function readRecord(home: Home, id: string): ChainRecord | undefined {
  let value: unknown;
  try {
    value = readJson(recordFile(home, id));
  } catch (error) {
    if (error instanceof StasisError) return undefined;
    throw error;
  }
  return isRecord(value) && value.id === id ? value : undefined;
}

/** Puts a record in the place of an older one. */
export function replaceRecord(home: Home, record: ChainRecord): void {
  replaceJson(recordFile(home, record.id), record, { durable: true });
}

/** Forgets a chain. Its snapshots are ordinary ones then. */
export function dropRecord(home: Home, id: string): void {
  try {
    Deno.removeSync(recordFile(home, id));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** The chain that a snapshot of this store belongs to. */
export function chainOf(chains: readonly ChainRecord[], snapshot: string): ChainRecord | undefined {
  return chains.find(({ members }) =>
    members.some((member) => member.host === undefined && member.snapshot === snapshot)
  );
}

function isRecord(value: unknown): value is ChainRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, created, members, tags } = value as Partial<Record<keyof ChainRecord, unknown>>;
  return typeof id === "string" && typeof created === "string" && Array.isArray(members) &&
    members.every(isMember) && Array.isArray(tags) && tags.every((tag) => typeof tag === "string");
}

export function isMember(value: unknown): value is ChainMember {
  if (typeof value !== "object" || value === null) return false;
  const { name, aid, snapshot, host } = value as Partial<Record<keyof ChainMember, unknown>>;
  return typeof name === "string" && typeof aid === "string" && typeof snapshot === "string" &&
    isId(snapshot) && (host === undefined || typeof host === "string");
}
