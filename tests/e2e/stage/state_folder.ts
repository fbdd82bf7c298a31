/**
 * What a state folder says of its applications, read and used without a start of the product: tests look often, and a
 * start takes a tenth of a second of a processor.
 */

import { setTimeout as delay } from "node:timers/promises";

interface Application {
  aid: string;
  name: string;
  folder: string;
  started: string;
  runs: boolean;
  /** Its helper, once it runs, and when that started (proc_pid_stat(5), field 22). */
  init?: { pid: number; start_ticks: number };
}

/** Those that run first, newer ones before older ones. */
export function applicationsIn(home: string): Application[] {
  const sockets = new Set(names(`${home}/run`));
  const folders = names(`${home}/data/apps`).map((aid) => `${home}/data/apps/${aid}`);
  const found = folders.flatMap((folder): Application[] => {
    const meta = textOf(`${folder}/meta.json`);
    if (meta === undefined) return [];
    const known: Application = JSON.parse(meta);
    return [{ ...known, folder, runs: sockets.has(`${known.aid}.sock`) && helps(known) }];
  });
  return found.sort((one, other) =>
    Number(other.runs) - Number(one.runs) || other.started.localeCompare(one.started)
  );
}

/** The names of templates in memory. */
export function loadedTemplates(home: string): string[] {
  return names(`${home}/run/templates`).flatMap((name) => /^([^.].*)\.json$/.exec(name)?.[1] ?? []);
}

/**
 * Kills all processes of all applications, and waits until their helpers have tidied up and ended. Returns the AIDs of what
 * only the product can end: a command that was killed may not have written down who the helper is.
 */
export async function endApplications(home: string): Promise<string[]> {
  const deadline = performance.now() + 30_000;
  let left = applicationsIn(home).filter(helps);
  while (left.length > 0) {
    if (performance.now() > deadline) throw new Error(`"${left[0]?.name}" does not end`);
    for (const { init } of left) childrenOf(init?.pid).forEach(kill);
    await delay(5);
    left = left.filter(helps);
  }
  return names(`${home}/run`).flatMap((name) => /^(\w+)\.sock$/.exec(name)?.[1] ?? []);
}

/** Its helper runs. */
function helps({ init }: Application): boolean {
  if (init === undefined) return false;
  const stat = textOf(`/proc/${init.pid}/stat`);
  // The fields behind the name, which may have spaces in it, begin with the third.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  return fields[19] === String(init.start_ticks) && fields[0] !== "Z";
}

/** A helper is PID 1 to its application: those whose parent has ended become its children. */
function childrenOf(pid: number | undefined): number[] {
  const text = textOf(`/proc/${pid}/task/${pid}/children`) ?? "";
  return text.split(" ").filter((word) => word !== "").map(Number);
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function names(folder: string): string[] {
  return unlessAbsent(() => [...Deno.readDirSync(folder)].map(({ name }) => name)) ?? [];
}

function textOf(path: string): string | undefined {
  return unlessAbsent(() => Deno.readTextFileSync(path));
}

function unlessAbsent<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    // A process that ends while its file is read: ESRCH.
    if (error instanceof Deno.errors.NotFound || String(error).includes("os error 3")) return undefined;
    // `.lock` among the folders.
    if (error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}
