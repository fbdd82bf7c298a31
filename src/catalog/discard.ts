import { StasisError } from "../../ffi/error.ts";
import type { Home } from "../../ffi/messages.ts";
import { makePrivateFolder } from "./home.ts";

/**
 * Takes a snapshot out of the store. It leaves the store whole, by one rename, and only then is deleted: a command
 * that is killed in between leaves no half of a snapshot there. What an earlier one left behind goes too.
 */
export function discardSnapshot(home: Home, id: string, dir: string): void {
  const doomed = `${home.data}/removing`;
  makePrivateFolder(doomed);
  try {
    Deno.renameSync(dir, `${doomed}/${id}-${crypto.randomUUID()}`);
    for (const { name } of Deno.readDirSync(doomed)) removeIfThere(`${doomed}/${name}`);
  } catch (error) {
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw StasisError.of(denied ? "not_permitted" : "other", `Could not remove the snapshot ${id}`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** Another command may be at the same work. */
function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
