/**
 * Where the snapshots of a chain lie until all of them are complete: a folder beside the records, which belongs to the command that
 * makes it. Once the record of the chain is there, whoever comes by moves what is still in it into the store; without one, it goes
 * as soon as that command has ended.
 */

import type { Home } from "../../ffi/messages.ts";
import { isFolder, makePrivateFolder, storeOf } from "../catalog/home.ts";
import { syncFolder, writeDurably } from "../catalog/tree.ts";
import { isAlive, self } from "../vne/files.ts";
import { type ChainRecord, chainsOf, dropRecord, readRecord, recordFile } from "./records.ts";

const NAME = /^\.staging-([0-9a-f]{12})-(\d+)-(\d+)$/;

/** The folder of one chain in the making. Disposing of it removes what was not committed. */
export class Staging implements Disposable {
  #committed = false;

  private constructor(readonly home: Home, readonly id: string, readonly folder: string) {}

  static open(home: Home, id: string): Staging {
    const { pid, started } = self();
    makePrivateFolder(storeOf(home));
    const folder = `${chainsOf(home)}/.staging-${id}-${pid}-${started}`;
    makePrivateFolder(folder);
    return new Staging(home, id, folder);
  }

  /** Where a snapshot is to be made. */
  placeFor(snapshot: string): string {
    return `${this.folder}/${snapshot}`;
  }

  /** Makes the chain stand, for good: from here on its snapshots are those of the store. Call it when all are complete. */
  commit(record: ChainRecord): void {
    const partial = `${this.folder}/record`;
    writeDurably(partial, `${JSON.stringify(record, undefined, 2)}\n`);
    // The snapshots have reached the disk, and so must their names before the record does.
    syncFolder(this.folder);
    syncFolder(chainsOf(this.home));
    Deno.renameSync(partial, recordFile(this.home, this.id));
    try {
      syncFolder(chainsOf(this.home));
    } catch (error) {
      dropRecord(this.home, this.id);
      throw error;
    }
    this.#committed = true;
    this.#publish();
  }

  /** What this does not do, the next command does. */
  #publish(): void {
    try {
      publish(this.home, this.folder);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
    }
  }

  [Symbol.dispose](): void {
    if (!this.#committed) removeIfThere(this.folder);
  }
}

/** Finishes what commands that were killed had committed, and removes what others had not. */
export function settleStagings(home: Home): void {
  const folder = chainsOf(home);
  if (!isFolder(folder)) return;
  for (const { name } of Deno.readDirSync(folder)) {
    const [, id, pid, started] = NAME.exec(name) ?? [];
    if (id === undefined || pid === undefined || started === undefined) continue;
    if (readRecord(home, id) !== undefined) publish(home, `${folder}/${name}`);
    else if (!isAlive({ pid: Number(pid), started })) removeIfThere(`${folder}/${name}`);
  }
}

/** Moves snapshots into the store. Another command may be at the same work. */
function publish(home: Home, folder: string): void {
  const store = storeOf(home);
  for (const name of namesIn(folder)) {
    try {
      Deno.renameSync(`${folder}/${name}`, `${store}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  syncFolder(store);
  removeIfThere(folder);
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
