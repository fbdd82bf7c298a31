import { lchownSync } from "node:fs";
import { syncFolder } from "../catalog/tree.ts";
import { damaged, type Entry } from "./header.ts";
import type { ArchiveReader } from "./reader.ts";

/** More entries than any template has. */
const MOST = 4_000_000;
/** Longest file, holes included. */
const LONGEST = 64 * 2 ** 40;

/** What may be where in an archive; what is in volumes keeps owner, mode and time, and may be of any kind. */
export interface Layout {
  /** Files at the top. */
  files: readonly string[];
  /** Folders at the top, with all in them. */
  folders: readonly string[];
  /** Folders that hold an application's own files. */
  volumes: readonly string[];
}

/** What there is in the folder already, and how sure it must be. */
export interface Circumstances {
  /** Files that the archive may have second names for. */
  known?: ReadonlySet<string>;
  /** Whether it is to outlast a crash of the host. */
  durable?: boolean;
}

/**
 * Unpacks the rest of an archive into a folder of this user's alone, which has nothing at those places. Returns the files. Nothing is written through a link that the
 * archive brought: symbolic links come last, and everything else goes into folders that were made here.
 */
export async function unpack(
  reader: ArchiveReader,
  into: string,
  layout: Layout,
  { known = new Set(), durable = true }: Circumstances = {},
): Promise<Set<string>> {
  const folders = new Map<string, Entry | undefined>([["", undefined]]);
  const files = new Map<string, Entry>();
  const links: Entry[] = [];
  let count = 0;
  for (let entry = await reader.entry(); entry !== undefined; entry = await reader.entry()) {
    reader.proceed();
    if (++count > MOST) throw damaged(`it has more than ${MOST} entries`);
    const { path } = entry;
    const free = isWithin(path, layout.volumes);
    require(entry, layout, free);
    if (!folders.has(parentOf(path))) throw damaged(`the folder of "${path}" is missing`);
    if (entry.kind === "folder") {
      Deno.mkdirSync(`${into}/${path}`, { mode: 0o700 });
      folders.set(path, entry);
    } else if (entry.kind === "symlink") {
      links.push(entry);
    } else if (entry.kind === "link") {
      const { target = "" } = entry;
      if (!files.has(target) && !known.has(target)) {
        throw damaged(`"${path}" is a link to what did not come before it`);
      }
      Deno.linkSync(`${into}/${entry.target}`, `${into}/${path}`);
    } else {
      using file = Deno.openSync(`${into}/${path}`, { write: true, createNew: true, mode: 0o600 });
      await reader.save(entry, file);
      if (free) await settleFile(entry, file, `${into}/${path}`);
      if (durable) await file.sync();
      files.set(path, entry);
    }
  }
  for (const link of links) makeLink(link, `${into}/${link.path}`);
  // Innermost first: what is made in a folder changes its time, and a mode may bar from making more.
  for (const [path, entry] of [...folders].reverse()) {
    const folder = path === "" ? into : `${into}/${path}`;
    if (durable) syncFolder(folder);
    if (entry !== undefined && isWithin(path, layout.volumes)) settleFolder(entry, folder);
  }
  return new Set(files.keys());
}

function require(entry: Entry, layout: Layout, free: boolean): void {
  const { path, kind, size, realSize } = entry;
  const known = layout.files.includes(path) ? kind === "file" : isWithin(path, layout.folders);
  if (!known) throw damaged(`"${path}" has no place in it`);
  if (!free && kind !== "file" && kind !== "folder" && kind !== "link") {
    throw damaged(`"${path}" is a symbolic link`);
  }
  if (Math.max(size, realSize ?? 0) > LONGEST) throw damaged(`"${path}" is longer than ${LONGEST} bytes`);
}

function isWithin(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path === folder || path.startsWith(`${folder}/`));
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

async function settleFile({ mode, uid, gid, mtime }: Entry, file: Deno.FsFile, path: string): Promise<void> {
  own(path, uid, gid);
  // After the owner, whose change takes the set-user-id bit away.
  Deno.chmodSync(path, mode);
  await file.utime(mtime, mtime);
}

function settleFolder({ mode, uid, gid, mtime }: Entry, path: string): void {
  own(path, uid, gid);
  Deno.chmodSync(path, mode);
  Deno.utimeSync(path, mtime, mtime);
}

function makeLink({ target = "", uid, gid }: Entry, path: string): void {
  Deno.symlinkSync(target, path);
  own(path, uid, gid);
}

/** Files of others can be made by root alone; for everybody else they become their own. */
function own(path: string, uid: number, gid: number): void {
  if (Deno.uid() === 0) lchownSync(path, uid, gid);
}
