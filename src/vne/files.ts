/** Files of the home folder that several commands change at once. */

import { StasisError } from "../../ffi/error.ts";
import { syncFolder, writeDurably } from "../catalog/tree.ts";
import { startOf } from "../process.ts";

/** Keeps other commands from doing the same, from here to its disposal or this process's end. */
export class Lock implements Disposable {
  private constructor(readonly file: Deno.FsFile) {}

  static async on(path: string): Promise<Lock> {
    const file = openLock(path);
    await file.lock(true);
    return new Lock(file);
  }

  static now(path: string): Lock {
    const file = openLock(path);
    file.lockSync(true);
    return new Lock(file);
  }

  [Symbol.dispose](): void {
    this.file.close();
  }
}

function openLock(path: string): Deno.FsFile {
  return Deno.openSync(path, { create: true, write: true, mode: 0o600 });
}

/** What a file of JSON says; undefined where there is none. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw StasisError.of("other", `Could not read "${path}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** Puts a new file in the place of an old one, as a whole. Call it under a lock. With `durable` it outlasts a crash of the host. */
export function replaceJson(path: string, value: unknown, how: { durable: boolean }): void {
  const partial = `${path}.new`;
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  if (!how.durable) {
    Deno.writeTextFileSync(partial, text, { mode: 0o600 });
    return Deno.renameSync(partial, path);
  }
  removeIfThere(partial);
  writeDurably(partial, text);
  Deno.renameSync(partial, path);
  syncFolder(path.slice(0, path.lastIndexOf("/")));
}

/** Removes a file, unless somebody else has. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** A process, told from a later one under the same pid by the moment of its start. */
export interface Maker {
  pid: number;
  /** Clock ticks since the host's boot. */
  started: string;
}

/** This process. */
export function self(): Maker {
  return { pid: Deno.pid, started: startOf(Deno.pid) ?? "" };
}

export function isAlive({ pid, started }: Maker): boolean {
  return startOf(pid) === started;
}
