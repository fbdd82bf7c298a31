import { createHash } from "node:crypto";
import { BLOCK, damaged, decodeExtents, decodeHeader, type Entry, padding } from "./header.ts";
import { END, TITLE } from "./title.ts";

const CHUNK = 1 << 20;
/** Longest text that is read as a whole. */
const LONGEST_TEXT = 1 << 20;

/** Where an archive comes from, piece by piece; null at its end. */
export interface Source {
  read(into: Uint8Array): Promise<number | null>;
}

/** Reads an archive from its title to its seal. `proceed` throws when the user has given up. */
export class ArchiveReader {
  readonly #hash = createHash("sha256");
  #buffer = new Uint8Array(CHUNK);
  #from = 0;
  #to = 0;

  constructor(readonly source: Source, readonly proceed: () => void) {}

  /** The text of the first entry. */
  async title(): Promise<string> {
    const entry = await this.#next();
    if (entry?.path !== TITLE || entry.kind !== "file") throw damaged(`it does not begin with ${TITLE}`);
    return await this.text(entry);
  }

  /** The next entry; undefined when all were read and add up to what the seal says. Its body is to be read at once. */
  async entry(): Promise<Entry | undefined> {
    const sum = this.#hash.copy().digest("hex");
    const entry = await this.#next();
    if (entry === undefined) throw damaged("it ends early");
    if (entry.path !== END) return entry;
    if ((await this.text(entry)).trim() !== sum) throw damaged("its checksum is wrong");
    return undefined;
  }

  /** The body of a small entry. */
  async text(entry: Entry): Promise<string> {
    if (entry.size > LONGEST_TEXT || entry.realSize !== undefined) {
      throw damaged(`"${entry.path}" is too long`);
    }
    const bytes = await this.#exactly(entry.size + padding(entry.size));
    return new TextDecoder().decode(bytes.subarray(0, entry.size));
  }

  /** Writes the body of an entry into a new file, with its holes. */
  async save(entry: Entry, file: Deno.FsFile): Promise<void> {
    if (entry.realSize === undefined) {
      await this.#copy(entry.size, file);
    } else {
      const { extents, bytes } = await decodeExtents(entry, (length) => this.#exactly(length));
      const data = extents.reduce((sum, { length }) => sum + length, 0);
      if (bytes + data !== entry.size) throw damaged(`the map of "${entry.path}" does not fit its contents`);
      for (const { offset, length } of extents) {
        await file.seek(offset, Deno.SeekMode.Start);
        await this.#copy(length, file);
      }
      await file.truncate(entry.realSize);
    }
    await this.#exactly(padding(entry.size));
  }

  async #next(): Promise<Entry | undefined> {
    return await decodeHeader(await this.#exactly(BLOCK), (length) => this.#exactly(length));
  }

  async #copy(length: number, file: Deno.FsFile): Promise<void> {
    for (let left = length; left > 0;) {
      this.proceed();
      if (this.#from === this.#to) await this.#fill();
      const piece = this.#buffer.subarray(this.#from, Math.min(this.#to, this.#from + left));
      this.#hash.update(piece);
      for (let done = 0; done < piece.length;) done += await file.write(piece.subarray(done));
      this.#from += piece.length;
      left -= piece.length;
    }
  }

  async #exactly(length: number): Promise<Uint8Array> {
    const whole = new Uint8Array(length);
    for (let at = 0; at < length;) {
      if (this.#from === this.#to) await this.#fill();
      const piece = this.#buffer.subarray(this.#from, Math.min(this.#to, this.#from + length - at));
      whole.set(piece, at);
      this.#from += piece.length;
      at += piece.length;
    }
    this.#hash.update(whole);
    return whole;
  }

  async #fill(): Promise<void> {
    const got = await this.source.read(this.#buffer);
    if (got === null || got === 0) throw damaged("it ends early");
    this.#from = 0;
    this.#to = got;
  }
}
