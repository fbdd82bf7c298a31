import { createHash } from "node:crypto";
import { BLOCK, encodeExtents, encodeHeader, type Entry, type Extent, padding } from "./header.ts";
import { END, TITLE, type Title } from "./title.ts";

/** Bytes that are read and written at a time. */
const CHUNK = 1 << 20;
/** What is zero in pieces of this size is left out of a file that has holes. */
const PIECE = 4096;

/** Where an archive goes, piece by piece. */
export interface Sink {
  write(bytes: Uint8Array): Promise<number>;
}

/** Writes an archive from its title to its seal. `proceed` throws when the user has given up. */
export class ArchiveWriter {
  readonly #hash = createHash("sha256");
  /** Files with several names, by device and inode, with the first name. */
  readonly #named = new Map<string, string>();

  constructor(readonly sink: Sink, readonly proceed: () => void) {}

  /** Files that whoever reads the archive has already, under `path`, are told as second names of those. */
  knowing(folder: string, path: string): void {
    for (const { name, isDirectory, isFile } of Deno.readDirSync(folder)) {
      const [from, to] = [`${folder}/${name}`, `${path}/${name}`];
      if (isDirectory) this.knowing(from, to);
      if (!isFile) continue;
      const info = Deno.lstatSync(from);
      this.#named.set(`${info.dev}:${info.ino}`, to);
    }
  }

  async title(title: Title): Promise<void> {
    await this.text(TITLE, `${JSON.stringify(title)}\n`);
  }

  /** Says what everything before it must add up to, and ends the archive. */
  async seal(): Promise<void> {
    await this.text(END, `${this.#hash.digest("hex")}\n`, false);
    await writeAll(this.sink, new Uint8Array(2 * BLOCK));
  }

  async text(path: string, text: string, counted = true): Promise<void> {
    const body = new TextEncoder().encode(text);
    const header = encodeHeader({ ...plain(path), kind: "file", mode: 0o600, size: body.length });
    for (const part of [header, body, new Uint8Array(padding(body.length))]) await this.#put(part, counted);
  }

  /** Adds a folder with all that is in it, under another path. */
  async tree(folder: string, path: string): Promise<void> {
    await this.#put(encodeHeader({ ...describe(Deno.lstatSync(folder), path), kind: "folder" }));
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    for (const name of names) await this.any(`${folder}/${name}`, `${path}/${name}`);
  }

  async any(from: string, path: string): Promise<void> {
    const info = Deno.lstatSync(from);
    if (info.isDirectory) return await this.tree(from, path);
    if (info.isFile) return await this.#file(from, path, info);
    // A FIFO or device of a volume: the image's manifest says all about it.
    if (!info.isSymlink) return;
    await this.#put(
      encodeHeader({ ...describe(info, path), kind: "symlink", target: Deno.readLinkSync(from) }),
    );
  }

  async #file(from: string, path: string, info: Deno.FileInfo): Promise<void> {
    const identity = `${info.dev}:${info.ino}`;
    const first = this.#named.get(identity);
    if (first !== undefined) {
      return await this.#put(encodeHeader({ ...describe(info, path), kind: "link", target: first }));
    }
    if ((info.nlink ?? 1) > 1) this.#named.set(identity, path);
    using file = Deno.openSync(from, { read: true });
    const entry = { ...describe(info, path), kind: "file" as const };
    if ((info.blocks ?? Infinity) * 512 >= info.size) {
      await this.#put(encodeHeader({ ...entry, size: info.size }));
      return await this.#copy(file, [{ offset: 0, length: info.size }], from);
    }
    const extents = await this.#extents(file, info.size);
    const map = encodeExtents(extents);
    const size = map.length + extents.reduce((sum, { length }) => sum + length, 0);
    await this.#put(encodeHeader({ ...entry, size, realSize: info.size }));
    await this.#put(map);
    await this.#copy(file, extents, from);
  }

  /** Where a file with holes has anything but zeroes. */
  async #extents(file: Deno.FsFile, size: number): Promise<Extent[]> {
    const extents: Extent[] = [];
    const buffer = new Uint8Array(CHUNK);
    const words = new Uint32Array(buffer.buffer);
    for (let at = 0; at < size;) {
      this.proceed();
      const got = await file.read(buffer);
      if (got === null) break;
      buffer.fill(0, got);
      for (let piece = 0; piece < got; piece += PIECE) {
        if (isZero(words, piece)) continue;
        const length = Math.min(PIECE, got - piece);
        const last = extents.at(-1);
        if (last !== undefined && last.offset + last.length === at + piece) last.length += length;
        else extents.push({ offset: at + piece, length });
      }
      at += got;
    }
    const last = extents.at(-1);
    // A hole at the end is told by an empty extent behind it: that is how tar knows the length.
    if (last === undefined || last.offset + last.length < size) extents.push({ offset: size, length: 0 });
    return extents;
  }

  async #copy(file: Deno.FsFile, extents: readonly Extent[], from: string): Promise<void> {
    const buffer = new Uint8Array(CHUNK);
    let written = 0;
    for (const { offset, length } of extents) {
      await file.seek(offset, Deno.SeekMode.Start);
      for (let left = length; left > 0;) {
        this.proceed();
        const got = await file.read(buffer.subarray(0, Math.min(left, CHUNK)));
        if (got === null) throw new Error(`"${from}" became shorter while it was read`);
        await this.#put(buffer.subarray(0, got));
        left -= got;
      }
      written += length;
    }
    await this.#put(new Uint8Array(padding(written)));
  }

  async #put(bytes: Uint8Array, counted = true): Promise<void> {
    if (counted) this.#hash.update(bytes);
    await writeAll(this.sink, bytes);
  }
}

/** Is there nothing in the piece that begins at byte `at`? */
function isZero(words: Uint32Array, at: number): boolean {
  for (let index = at / 4; index < (at + PIECE) / 4; index++) if (words[index] !== 0) return false;
  return true;
}

function plain(path: string): Omit<Entry, "kind"> {
  return { path, mode: 0, uid: 0, gid: 0, mtime: Math.floor(Date.now() / 1000), size: 0 };
}

function describe(info: Deno.FileInfo, path: string): Omit<Entry, "kind"> {
  return {
    path,
    mode: (info.mode ?? 0) & 0o7777,
    uid: info.uid ?? 0,
    gid: info.gid ?? 0,
    mtime: Math.max(0, Math.floor((info.mtime?.getTime() ?? 0) / 1000)),
    size: 0,
  };
}

async function writeAll(sink: Sink, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await sink.write(bytes.subarray(written));
}
