/**
 * The file that members of an environment see as `/etc/hosts`. It is bound into every capsule, so it stays the same file, and
 * programs read it while it changes. Therefore all lines are equally long, whole ones to a page, and each stays at its place as
 * long as it holds: whoever reads, in however many steps, finds every line as it was or as it is.
 */

import { StasisError } from "../../ffi/error.ts";

/** Who has an address. */
export interface Line {
  address: string;
  name: string;
}

/** Bytes of a line, with its end. A page and what programs read at a time are multiples of it; the longest address and name fit. */
const WIDTH = 128;

/** What stands in the place of a line that nobody needs any more. */
const FREE = "#";

/** Writes who has which address; of several lines with one name the first comes first. */
export function rewriteHosts(path: string, environment: string, lines: readonly Line[]): void {
  try {
    rewrite(path, [...heading(environment)], lines);
  } catch (error) {
    throw StasisError.of("other", `Could not write the names of the environment "${environment}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

function rewrite(path: string, head: readonly string[], lines: readonly Line[]): void {
  using file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o644 });
  const size = file.statSync().size;
  const old = decode(read(file, size));
  const isOurs = head.every((line, index) => old[index] === line);
  const texts = [...head, ...arrange(isOurs ? old.slice(head.length) : [], lines)];
  const now = encode(texts);
  // For whoever reads on behind the new end before the file is cut there.
  const left = encode(
    Array.from({ length: Math.max(0, Math.ceil(size / WIDTH) - texts.length) }, () => FREE),
  );
  if (left.length === 0 && isOurs && texts.every((text, index) => text === old[index])) return;
  file.seekSync(0, Deno.SeekMode.Start);
  writeAll(file, new Uint8Array([...now, ...left]));
  if (left.length > 0) file.truncateSync(now.length);
  // Members' programs read it under any user; the umask may be a narrow one.
  Deno.chmodSync(path, 0o644);
}

function heading(environment: string): string[] {
  return [
    `# The members of the environment "${environment}"; stasis keeps this file`,
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
  ];
}

/** The lines of the file as they are to be, given what they are: those that hold stay where they are. */
export function arrange(old: readonly string[], wanted: readonly Line[]): string[] {
  const texts = wanted.map(({ address, name }) => `${address} ${name}`);
  const needed = new Set(texts);
  const placed = old.map((text) => needed.delete(text) ? text : FREE);
  const free = placed.flatMap((text, place) => text === FREE ? [place] : []);
  for (const text of needed) placed[free.shift() ?? placed.length] = text;
  order(placed, wanted);
  while (placed.at(-1) === FREE) placed.pop();
  return placed;
}

/** Puts lines with one name in their order: they change places among themselves. */
function order(placed: string[], wanted: readonly Line[]): void {
  const byName = Map.groupBy(wanted, ({ name }) => name);
  for (const lines of byName.values()) {
    if (lines.length < 2) continue;
    const texts = lines.map(({ address, name }) => `${address} ${name}`);
    const places = texts.map((text) => placed.indexOf(text)).sort((one, other) => one - other);
    for (const [index, place] of places.entries()) placed[place] = texts[index] ?? FREE;
  }
}

function encode(texts: readonly string[]): Uint8Array {
  return new TextEncoder().encode(texts.map((text) => `${text.padEnd(WIDTH - 1)}\n`).join(""));
}

function decode(bytes: Uint8Array): string[] {
  const text = new TextDecoder().decode(bytes);
  return Array.from(
    { length: Math.ceil(text.length / WIDTH) },
    (_, index) => text.slice(index * WIDTH, (index + 1) * WIDTH).trimEnd(),
  );
}

function read(file: Deno.FsFile, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const count = file.readSync(bytes.subarray(length));
    if (count === null) break;
    length += count;
  }
  return bytes.subarray(0, length);
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += file.writeSync(bytes.subarray(done));
}
