/**
 * Gives the files below `from` a second name below `to`, or copies those that cannot have one, as on another file system. Nothing
 * of it is lost in a crash once this returns. Entries of `from` itself that are called as in `except` are left out.
 */
export function linkTree(from: string, to: string, except: readonly string[] = []): void {
  Deno.mkdirSync(to, { mode: 0o700 });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (except.includes(name)) continue;
    if (isDirectory) linkTree(`${from}/${name}`, `${to}/${name}`);
    else linkOrCopy(`${from}/${name}`, `${to}/${name}`);
  }
  syncFolder(to);
}

/** Writes a new file, for this user alone. */
export function writeDurably(path: string, text: string): void {
  using file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
  file.syncSync();
}

/** Makes the names in a folder outlast a crash. */
export function syncFolder(path: string): void {
  using folder = Deno.openSync(path, { read: true });
  folder.syncSync();
}

/** A link is refused on another file system, and where the file is somebody else's. */
function linkOrCopy(from: string, to: string): void {
  try {
    Deno.linkSync(from, to);
  } catch {
    Deno.copyFileSync(from, to);
    Deno.chmodSync(to, 0o600);
    syncFile(to);
  }
}

function syncFile(path: string): void {
  using file = Deno.openSync(path, { write: true });
  file.syncSync();
}

/** Whether anything has this path, a link that leads nowhere included. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
