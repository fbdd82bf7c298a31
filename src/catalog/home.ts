import type { Home } from "../../ffi/messages.ts";
import { StasisError } from "../../ffi/error.ts";

/** What decides where state lives; tests pass their own. */
export interface Surroundings {
  root: boolean;
  env: (name: string) => string | undefined;
}

/** The process's own surroundings. */
export function surroundings(): Surroundings {
  return { root: Deno.uid() === 0, env: (name) => Deno.env.get(name) || undefined };
}

/**
 * The folders of this user: `STASIS_HOME` before everything, the system's folders for root, the XDG folders for
 * others. Without `XDG_RUNTIME_DIR` (no login session) run-time state goes beside the data: both must belong to
 * the user alone, which rules out `/tmp`.
 */
export function locateHome({ root, env }: Surroundings): Home {
  const override = env("STASIS_HOME");
  if (override !== undefined) {
    const base = override.startsWith("/") ? override : `${Deno.cwd()}/${override}`;
    return { data: `${base}/data`, run: `${base}/run` };
  }
  if (root) return { data: "/var/lib/stasis", run: "/run/stasis" };
  const data = `${dataHome(env)}/stasis`;
  const runtime = absolute(env("XDG_RUNTIME_DIR"));
  return { data, run: runtime === undefined ? `${data}/run` : `${runtime}/stasis` };
}

/** The folder that holds this user's snapshots. */
export function storeOf(home: Home): string {
  return `${home.data}/snapshots`;
}

/** Whether there is a folder of that name; what may not be looked at is an error. */
export function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    if (error instanceof Deno.errors.PermissionDenied) {
      throw StasisError.of("not_permitted", `Could not look into "${path}"`, {
        causes: ["permission denied"],
      });
    }
    throw error;
  }
}

/** Creates a folder for this user alone, with its parents. */
export function makePrivateFolder(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw StasisError.of(denied ? "not_permitted" : "other", `Could not create the folder "${path}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
      hint: "Set STASIS_HOME to a folder that you may write to",
    });
  }
}

function dataHome(env: Surroundings["env"]): string {
  const given = absolute(env("XDG_DATA_HOME"));
  if (given !== undefined) return given;
  const home = absolute(env("HOME"));
  if (home !== undefined) return `${home}/.local/share`;
  throw StasisError.of("usage", "Could not tell where to keep state", {
    causes: ["HOME and XDG_DATA_HOME are not set"],
    hint: "Set STASIS_HOME to a folder of your own",
  });
}

/** The XDG base directory specification: paths that are not absolute are to be ignored. */
function absolute(path: string | undefined): string | undefined {
  return path?.startsWith("/") ? path : undefined;
}
