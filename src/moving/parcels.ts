/** Folders on their way to another host, as archives within a conversation. */

import { ArchiveReader, type Source } from "../archive/reader.ts";
import { type Circumstances, unpack } from "../archive/unpack.ts";
import { ArchiveWriter, type Sink } from "../archive/writer.ts";
import { StasisError } from "../../ffi/error.ts";
import type { Talk } from "../remote/talk.ts";

/** What is sent at once, in bytes. */
const PIECE = 256 << 10;

/** A folder and what it is called on the way. */
export interface Folder {
  dir: string;
  path: string;
}

/** Sends a folder with all in it; files that are also in `known`, which was sent before, go as names of those. */
export async function sendFolder(talk: Talk, { dir, path }: Folder, known?: Folder): Promise<void> {
  const sink = new Pieces(talk);
  const writer = new ArchiveWriter(sink, () => talk.gone.throwIfAborted());
  if (known !== undefined) writer.knowing(known.dir, known.path);
  await writer.tree(dir, path);
  await writer.seal();
  await sink.flush();
  await talk.say("sent");
}

/** Takes a folder in, below `into`. Returns the files. */
export async function receiveFolder(
  talk: Talk,
  into: string,
  path: string,
  circumstances?: Circumstances,
): Promise<Set<string>> {
  const arriving = new Arriving(talk);
  const reader = new ArchiveReader(arriving, () => talk.gone.throwIfAborted());
  const layout = { files: [], folders: [path], volumes: [`${path}/volumes`] };
  const files = await unpack(reader, into, layout, circumstances);
  await arriving.end();
  return files;
}

/** Small writes are gathered. */
class Pieces implements Sink {
  #piece = new Uint8Array(PIECE);
  #filled = 0;

  constructor(readonly talk: Talk) {}

  async write(bytes: Uint8Array): Promise<number> {
    if (this.#filled + bytes.length > PIECE) await this.flush();
    if (bytes.length >= PIECE) {
      await this.talk.send(bytes);
    } else {
      this.#piece.set(bytes, this.#filled);
      this.#filled += bytes.length;
    }
    return bytes.length;
  }

  async flush(): Promise<void> {
    if (this.#filled > 0) await this.talk.send(this.#piece.subarray(0, this.#filled));
    this.#filled = 0;
  }
}

class Arriving implements Source {
  #piece: Uint8Array = new Uint8Array(0);

  constructor(readonly talk: Talk) {}

  async read(into: Uint8Array): Promise<number | null> {
    if (this.#piece.length === 0) {
      const heard = await this.talk.hear();
      if (!("bytes" in heard)) return null;
      this.#piece = heard.bytes;
    }
    const taken = this.#piece.subarray(0, into.length);
    into.set(taken);
    this.#piece = this.#piece.subarray(taken.length);
    return taken.length;
  }

  /** Passes over the padding behind the archive. */
  async end(): Promise<void> {
    for (;;) {
      const heard = await this.talk.hear();
      if (!("value" in heard)) continue;
      if (heard.value === "sent") return;
      throw senseless();
    }
  }
}

/** Waits for the other host to say that word. */
export async function hearWord(talk: Talk, word: string): Promise<void> {
  const heard = await talk.hear();
  if ("value" in heard && heard.value === word) return;
  throw senseless();
}

function senseless(): StasisError {
  return StasisError.of("other", "Could not understand the other host", {
    causes: ["it said something else than was expected"],
  });
}
