import { deepStrictEqual, ok, rejects, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { encodeHeader, type Entry } from "./header.ts";
import { TEMPLATE } from "./layouts.ts";
import { ArchiveReader } from "./reader.ts";
import { END, TITLE, titleOf } from "./title.ts";
import { unpack } from "./unpack.ts";
import { ArchiveWriter } from "./writer.ts";

const PLAIN = { mode: 0o600, uid: 0, gid: 0, mtime: 1, size: 0 };

/** A folder for everything, which vanishes in the end. */
class Place implements Disposable {
  readonly base = Deno.makeTempDirSync();
  readonly into = `${this.base}/into`;
  bytes: Uint8Array = new Uint8Array();

  constructor() {
    Deno.mkdirSync(this.into);
  }

  async pack(fill: (writer: ArchiveWriter) => Promise<void>): Promise<void> {
    const parts: Uint8Array[] = [];
    const sink = { write: (bytes: Uint8Array) => Promise.resolve(parts.push(bytes.slice()) && bytes.length) };
    const writer = new ArchiveWriter(sink, () => {});
    await writer.title(titleOf({ id: "0123456789ab" }));
    await fill(writer);
    await writer.seal();
    this.bytes = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  }

  /** An archive of bare entries that nobody would write, with the right checksum. */
  forge(...entries: Partial<Entry>[]): void {
    const title = new TextEncoder().encode("{}");
    const parts = [encodeHeader({ ...PLAIN, path: TITLE, kind: "file", size: title.length }), padded(title)];
    for (const entry of entries) parts.push(encodeHeader({ ...PLAIN, path: "x", kind: "file", ...entry }));
    const sum = createHash("sha256");
    for (const part of parts) sum.update(part);
    const seal = new TextEncoder().encode(sum.digest("hex"));
    parts.push(encodeHeader({ ...PLAIN, path: END, kind: "file", size: seal.length }), padded(seal));
    this.bytes = new Uint8Array(parts.flatMap((part) => [...part]));
  }

  async unpack(bytes: Uint8Array = this.bytes): Promise<void> {
    let at = 0;
    const read = (into: Uint8Array) => {
      const piece = bytes.subarray(at, at + Math.min(into.length, 70_001));
      into.set(piece);
      at += piece.length;
      return Promise.resolve(piece.length === 0 ? null : piece.length);
    };
    const reader = new ArchiveReader({ read }, () => {});
    await reader.title();
    await unpack(reader, this.into, TEMPLATE);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.base, { recursive: true });
  }
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
  whole.set(bytes);
  return whole;
}

/** An image with everything that may be in one: long names, holes, several names of a file, symbolic links. */
function image(place: Place): string {
  const folder = `${place.base}/image`;
  const deep = `${folder}/volumes/0/${"long".repeat(30)}/ä b`;
  Deno.mkdirSync(`${folder}/packs`, { recursive: true });
  Deno.mkdirSync(deep, { recursive: true });
  Deno.writeFileSync(`${folder}/manifest`, new Uint8Array(3_000_001).fill(7));
  Deno.writeTextFileSync(`${folder}/packs/empty.pack`, "");
  using file = Deno.openSync(`${folder}/volumes/0/holes`, { write: true, create: true });
  file.truncateSync(64 << 20);
  file.seekSync(20 << 20, Deno.SeekMode.Start);
  file.writeSync(new TextEncoder().encode("here"));
  Deno.linkSync(`${folder}/volumes/0/holes`, `${deep}/same`);
  Deno.symlinkSync("/etc/passwd", `${folder}/volumes/0/a-link`);
  Deno.chmodSync(`${folder}/volumes/0`, 0o750);
  Deno.utimeSync(`${folder}/volumes/0`, 1_000_000, 1_000_000);
  return folder;
}

Deno.test("what is packed comes out again, with holes, links, modes and times", async () => {
  using place = new Place();
  const folder = image(place);
  await place.pack((writer) => writer.tree(folder, "image"));
  ok(place.bytes.length < 4 << 20, `${place.bytes.length} bytes: holes are not in it`);
  await place.unpack();
  const [from, to] = [folder, `${place.into}/image`];
  deepStrictEqual(Deno.readFileSync(`${to}/manifest`), Deno.readFileSync(`${from}/manifest`));
  const holes = Deno.statSync(`${to}/volumes/0/holes`);
  strictEqual(holes.size, 64 << 20);
  ok((holes.blocks ?? 0) < 1000, "its holes are holes again");
  const text = Deno.readFileSync(`${to}/volumes/0/holes`);
  strictEqual(new TextDecoder().decode(text.subarray(20 << 20, (20 << 20) + 4)), "here");
  strictEqual(Deno.statSync(`${to}/volumes/0/${"long".repeat(30)}/ä b/same`).ino, holes.ino);
  strictEqual(Deno.readLinkSync(`${to}/volumes/0/a-link`), "/etc/passwd");
  const volume = Deno.statSync(`${to}/volumes/0`);
  deepStrictEqual([(volume.mode ?? 0) & 0o777, volume.mtime?.getTime()], [0o750, 1_000_000_000]);
});

Deno.test("tar lists and unpacks an archive", async () => {
  using place = new Place();
  await place.pack((writer) => writer.tree(image(place), "image"));
  Deno.writeFileSync(`${place.base}/archive.tar`, place.bytes);
  const tar = new Deno.Command("tar", { args: ["-xf", `${place.base}/archive.tar`, "-C", place.into] });
  const { code, stderr } = tar.outputSync();
  strictEqual(code, 0, new TextDecoder().decode(stderr));
  strictEqual(Deno.statSync(`${place.into}/image/volumes/0/holes`).size, 64 << 20);
});

Deno.test("an archive that is cut or altered anywhere is damaged", async () => {
  using place = new Place();
  const folder = `${place.base}/image`;
  Deno.mkdirSync(folder);
  Deno.writeFileSync(`${folder}/manifest`, new Uint8Array(5000).fill(7));
  await place.pack((writer) => writer.tree(folder, "image"));
  const whole = place.bytes;
  const refused = async (bytes: Uint8Array, what: string) => {
    Deno.removeSync(place.into, { recursive: true });
    Deno.mkdirSync(place.into);
    await rejects(place.unpack(bytes), /Could not read the archive/, what);
  };
  // What follows the seal's own text is filling.
  const end = whole.length - 2 * 512 - 512 + 64;
  for (let cut = 0; cut < end - 64; cut += 300) await refused(whole.subarray(0, cut), `cut at ${cut}`);
  for (let at = 2048; at < end; at += 97) {
    const altered = whole.slice();
    altered[at] = (altered[at] ?? 0) ^ 1;
    await refused(altered, `altered at ${at}`);
  }
});

Deno.test("an archive cannot reach out of its folder", async () => {
  using place = new Place();
  const outside = `${place.base}/outside`;
  Deno.mkdirSync(outside);
  const folder = { path: "image", kind: "folder" } as const;
  const forgeries: Partial<Entry>[][] = [
    [{ path: "../outside/x" }],
    [{ path: "/tmp/x" }],
    [folder, { path: "image/../../outside/x" }],
    [folder, { path: "image//x" }],
    [{ path: "image/x" }],
    [{ path: "other" }],
    [folder, { path: "image/l", kind: "symlink", target: outside }, { path: "image/l/x" }],
    [folder, { path: "image/l", kind: "link", target: "../outside" }],
    [folder, { path: "image/l", kind: "link", target: "image" }],
    [folder, { path: "image/a", size: 2 ** 60 }],
    [folder, folder],
    [
      folder,
      { path: "image/volumes", kind: "folder" },
      { path: "image/volumes/l", kind: "symlink", target: outside },
      { path: "image/volumes/l/x" },
    ],
  ];
  for (const [index, entries] of forgeries.entries()) {
    Deno.removeSync(place.into, { recursive: true });
    Deno.mkdirSync(place.into);
    place.forge(...entries);
    await rejects(place.unpack(), `forgery ${index}`);
    deepStrictEqual([...Deno.readDirSync(outside)], [], `forgery ${index}`);
  }
});
