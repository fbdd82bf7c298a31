/**
 * The tar format as pax(1) of POSIX.1-2001 has it, with the sparse files of GNU tar (PAX format 1.0), both ways. Any tar
 * lists and unpacks what is written here. What is read may come from anywhere, and is checked field by field.
 */

import { StasisError } from "../../ffi/error.ts";

export const BLOCK = 512;
/** Longest extended header, in bytes. */
const LONGEST_EXTENSION = 1 << 20;
const LONGEST_PATH = 4096;

/** `link`: one more name of a file that came before. */
export type Kind = "file" | "folder" | "link" | "symlink";

/** A part of a file that holds data. */
export interface Extent {
  offset: number;
  length: number;
}

export interface Entry {
  /** Relative, without `.` and `..`. */
  path: string;
  kind: Kind;
  /** Permission bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Whole seconds since 1970. */
  mtime: number;
  /** Bytes that follow in the archive. */
  size: number;
  /** Of a link, the path in the archive; of a symbolic link, what it says. */
  target?: string;
  /** Of a sparse file: its length, all of it. */
  realSize?: number;
}

const TYPES: Readonly<Record<Kind, string>> = { file: "0", folder: "5", link: "1", symlink: "2" };
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** An error about an archive that is not what it should be. */
export function damaged(cause: string): StasisError {
  return StasisError.of("image_damaged", "Could not read the archive", {
    causes: [cause],
    aftermath: "Nothing was left behind",
  });
}

/** How many bytes of filling follow a body. */
export function padding(size: number): number {
  return (BLOCK - size % BLOCK) % BLOCK;
}

/** The blocks that announce an entry. */
export function encodeHeader(entry: Entry): Uint8Array {
  const records: [string, string][] = [];
  const sparse = entry.realSize !== undefined;
  if (sparse) {
    records.push(
      ["GNU.sparse.major", "1"],
      ["GNU.sparse.minor", "0"],
      ["GNU.sparse.name", entry.path],
      ["GNU.sparse.realsize", String(entry.realSize)],
    );
  }
  const name = encoder.encode(entry.kind === "folder" ? `${entry.path}/` : entry.path);
  if (!sparse && (name.length > 100 || name.some((byte) => byte > 126))) records.push(["path", entry.path]);
  const target = encoder.encode(entry.target ?? "");
  if (target.length > 100 || target.some((byte) => byte > 126)) {
    records.push(["linkpath", entry.target ?? ""]);
  }
  if (entry.size > 0o77777777777) records.push(["size", String(entry.size)]);
  if (entry.uid > 0o7777777) records.push(["uid", String(entry.uid)]);
  if (entry.gid > 0o7777777) records.push(["gid", String(entry.gid)]);
  const own = encodeBlock(name, TYPES[entry.kind], entry, target);
  if (records.length === 0) return own;
  const body = encodeRecords(records);
  const plain = { mode: 0o600, uid: 0, gid: 0, mtime: entry.mtime, size: body.length };
  const extension = encodeBlock(encoder.encode("PaxHeaders/stasis"), "x", plain, new Uint8Array());
  return join([extension, body, new Uint8Array(padding(body.length)), own]);
}

/** The first block of a sparse file's body says where its data goes. */
export function encodeExtents(extents: readonly Extent[]): Uint8Array {
  const numbers = [extents.length, ...extents.flatMap(({ offset, length }) => [offset, length])];
  const text = encoder.encode(numbers.map((number) => `${number}\n`).join(""));
  return join([text, new Uint8Array(padding(text.length))]);
}

type Numbers = Pick<Entry, "mode" | "uid" | "gid" | "mtime" | "size">;

function encodeBlock(name: Uint8Array, type: string, numbers: Numbers, target: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, text: string) => block.set(encoder.encode(text), at);
  const octal = (at: number, length: number, value: number) => {
    const most = 8 ** (length - 1) - 1;
    put(at, (value > most || value < 0 ? 0 : value).toString(8).padStart(length - 1, "0"));
  };
  block.set(name.subarray(0, 100), 0);
  octal(100, 8, numbers.mode);
  octal(108, 8, numbers.uid);
  octal(116, 8, numbers.gid);
  octal(124, 12, numbers.size);
  octal(136, 12, numbers.mtime);
  put(156, type);
  block.set(target.subarray(0, 100), 157);
  put(257, "ustar\0" + "00");
  put(148, `${checksum(block).toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** A record names its own length, which has as many digits as it has. */
function encodeRecords(records: readonly [string, string][]): Uint8Array {
  return join(records.map(([key, value]) => {
    const rest = encoder.encode(` ${key}=${value}\n`);
    let length = rest.length + 1;
    while (String(length).length + rest.length > length) length++;
    return join([encoder.encode(String(length)), rest]);
  }));
}

function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
}

/** Reads the entry that a block announces; undefined for the end of the archive. `body` reads what follows it. */
export async function decodeHeader(
  block: Uint8Array,
  more: (length: number) => Promise<Uint8Array>,
): Promise<Entry | undefined> {
  if (block.every((byte) => byte === 0)) return undefined;
  const type = typeOf(block);
  if (type !== "x") return entryOf(block, type, new Map());
  const length = number(block, 124, 12);
  if (length > LONGEST_EXTENSION) throw damaged(`an extended header has ${length} bytes`);
  const records = decodeRecords((await more(length + padding(length))).subarray(0, length));
  const own = await more(BLOCK);
  return entryOf(own, typeOf(own), records);
}

function typeOf(block: Uint8Array): string {
  if (number(block, 148, 8) !== checksum(block)) throw damaged("the checksum of a header is wrong");
  if (text(block, 257, 5) !== "ustar") throw damaged("it is no tar archive");
  return text(block, 156, 1);
}

function entryOf(block: Uint8Array, type: string, records: ReadonlyMap<string, string>): Entry {
  const kind = (Object.keys(TYPES) as Kind[]).find((one) => TYPES[one] === type);
  const recorded = (key: string) => records.has(key) ? natural(records.get(key) ?? "") : undefined;
  const prefix = text(block, 345, 155);
  const short = text(block, 0, 100);
  const path = records.get("GNU.sparse.name") ?? records.get("path") ??
    (prefix === "" ? short : `${prefix}/${short}`);
  if (kind === undefined) throw damaged(`"${path}" is of a kind (${type}) that has no place here`);
  const major = records.get("GNU.sparse.major");
  if (major !== undefined && (major !== "1" || kind !== "file")) {
    throw damaged(`"${path}" is sparse in a way that is not known`);
  }
  const size = recorded("size") ?? number(block, 124, 12);
  if (kind !== "file" && size > 0) throw damaged(`"${path}" has contents, which a ${kind} has not`);
  const target = records.get("linkpath") ?? text(block, 157, 100);
  return {
    path: checkPath(kind === "folder" ? path.replace(/\/$/, "") : path),
    kind,
    mode: number(block, 100, 8) & 0o7777,
    uid: recorded("uid") ?? number(block, 108, 8),
    gid: recorded("gid") ?? number(block, 116, 8),
    mtime: number(block, 136, 12),
    size,
    ...(kind === "link" && { target: checkPath(target) }),
    ...(kind === "symlink" && { target: checkSymlink(target, path) }),
    ...(major !== undefined && { realSize: recorded("GNU.sparse.realsize") ?? 0 }),
  };
}

/** A path that stays below where it starts. */
export function checkPath(path: string): string {
  const parts = path.split("/");
  const sound = parts.every((part) => part !== "" && part !== "." && part !== "..") && !path.includes("\0");
  if (sound && path.length <= LONGEST_PATH) return path;
  throw damaged(`"${path}" is no path within it`);
}

function checkSymlink(target: string, path: string): string {
  if (target !== "" && !target.includes("\0") && target.length <= LONGEST_PATH) return target;
  throw damaged(`the symbolic link "${path}" leads nowhere`);
}

function decodeRecords(body: Uint8Array): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < body.length;) {
    const blank = body.indexOf(32, at);
    const length = natural(utf8(body.subarray(at, blank < 0 ? body.length : blank)));
    const record = utf8(body.subarray(blank + 1, at + length));
    const equals = record.indexOf("=");
    if (blank < 0 || length > body.length - at || equals < 1 || !record.endsWith("\n")) {
      throw damaged("an extended header is malformed");
    }
    records.set(record.slice(0, equals), record.slice(equals + 1, -1));
    at += length;
  }
  return records;
}

/** Reads where the data of a sparse file goes, block by block. */
export async function decodeExtents(
  { realSize = 0, path }: Entry,
  more: (length: number) => Promise<Uint8Array>,
): Promise<{ extents: Extent[]; bytes: number }> {
  let known = "";
  let bytes = 0;
  const next = async (): Promise<number> => {
    for (let end = known.indexOf("\n");; end = known.indexOf("\n")) {
      if (end >= 0) {
        const value = natural(known.slice(0, end));
        known = known.slice(end + 1);
        return value;
      }
      if (known.length > 32) throw damaged(`the map of "${path}" is malformed`);
      known += utf8(await more(BLOCK)).replaceAll("\0", "");
      bytes += BLOCK;
    }
  };
  const extents: Extent[] = [];
  let least = 0;
  for (let left = await next(); left > 0; left--) {
    const extent = { offset: await next(), length: await next() };
    if (extent.offset < least || extent.offset + extent.length > realSize) {
      throw damaged(`the map of "${path}" leads out of the file`);
    }
    least = extent.offset + extent.length;
    extents.push(extent);
  }
  return { extents, bytes };
}

function number(block: Uint8Array, at: number, length: number): number {
  const digits = text(block, at, length).trim();
  if (!/^[0-7]*$/.test(digits)) throw damaged("a header has a field that is no number");
  return natural(String(digits === "" ? 0 : parseInt(digits, 8)));
}

function natural(digits: string): number {
  const value = /^\d{1,16}$/.test(digits) ? Number(digits) : NaN;
  if (!Number.isSafeInteger(value)) {
    throw damaged(`"${digits.slice(0, 32)}" is not a number that can be here`);
  }
  return value;
}

function text(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return utf8(end < 0 ? field : field.subarray(0, end));
}

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw damaged("a name or number in it is not UTF-8");
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
