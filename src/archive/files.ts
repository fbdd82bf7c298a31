import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { exists, syncFolder } from "../catalog/tree.ts";
import { dirname } from "node:path";
import { ArchiveReader } from "./reader.ts";
import { ArchiveWriter } from "./writer.ts";

/** What stands for standard output and standard input. */
const STREAM = "-";

/** Writes an archive to a file that is there wholly or not at all, or to standard output. */
export async function writeArchive(
  session: Session,
  given: string,
  fill: (writer: ArchiveWriter) => Promise<void>,
): Promise<void> {
  using interruption = new Interruption(session);
  if (given === STREAM) {
    if (Deno.stdout.isTerminal()) {
      throw StasisError.of("usage", "Could not write the archive", {
        causes: ["standard output is a terminal"],
        hint: "Name a file, or put a pipe behind the command",
      });
    }
    return await fill(new ArchiveWriter(Deno.stdout, interruption.check));
  }
  const path = session.absolute(given);
  if (exists(path)) {
    throw StasisError.of("usage", `Could not write the archive "${given}"`, {
      causes: ["there is something by that name already"],
      hint: "Name a file that is not there yet",
    });
  }
  const partial = `${path}.partial-${Deno.pid}`;
  try {
    using file = Deno.openSync(partial, { write: true, createNew: true, mode: 0o600 });
    await fill(new ArchiveWriter(file, interruption.check));
    await file.sync();
    Deno.renameSync(partial, path);
    syncFolder(dirname(path));
  } catch (error) {
    removeIfThere(partial);
    throw explain(`write the archive "${given}"`, error);
  }
}

/** Reads an archive from a file, or from standard input. */
export async function readArchive<T>(
  session: Session,
  given: string,
  take: (reader: ArchiveReader) => Promise<T>,
): Promise<T> {
  using interruption = new Interruption(session);
  if (given === STREAM) return await take(new ArchiveReader(Deno.stdin, interruption.check));
  try {
    using file = Deno.openSync(session.absolute(given), { read: true });
    return await take(new ArchiveReader(file, interruption.check));
  } catch (error) {
    throw explain(`read the archive "${given}"`, error);
  }
}

/** Signals are noted while this is open, so that what is half done can be removed. */
class Interruption implements Disposable {
  #noted = false;
  readonly #listening: Disposable;

  constructor(session: Session) {
    this.#listening = session.interrupts.take(() => this.#noted = true);
  }

  readonly check = (): void => {
    if (!this.#noted) return;
    throw StasisError.of("interrupted", "Could not finish", {
      causes: ["it was interrupted"],
      aftermath: "Nothing was left behind",
    });
  };

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}

function explain(what: string, error: unknown): StasisError {
  if (error instanceof StasisError) return error;
  const code = error instanceof Deno.errors.PermissionDenied
    ? "not_permitted"
    : error instanceof Deno.errors.NotFound
    ? "no_target"
    : "other";
  return StasisError.of(code, `Could not ${what}`, {
    causes: [error instanceof Error ? error.message : String(error)],
    aftermath: "Nothing was left behind",
  });
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
