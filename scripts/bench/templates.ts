/**
 * What clones of a template in memory cost: one, and a hundred at once; how long they take beside the command's own start,
 * how much memory each adds to the host, and how long it takes to roll an application back to what is in memory.
 */

import { show, summarise, table } from "./statistics.ts";

/** Fills memory that cannot be compressed, says so, and waits for a signal that never comes. */
const PROGRAM = `
import os, signal, sys
size = int(sys.argv[1])
ballast = bytearray(size)
for start in range(0, size, 1 << 20):
    ballast[start:start + (1 << 20)] = os.urandom(min(1 << 20, size - start))
open(sys.argv[2], "w").close()
signal.pause()
`;

const MANY = 100;
const MIB = 1 << 20;

/** What one size showed: milliseconds, and MiB. */
interface Cost {
  start: number[];
  one: number[];
  many: number[];
  /** Of MemAvailable, for each of many. */
  taken: number[];
  /** What the processes of a clone have for themselves, and the tables of their pages. */
  own: number[];
  tables: number[];
  /** A rollback by itself, and the whole command beyond its own start. */
  rollback: number[];
  rollbackCommand: number[];
}

/** Prints a table for templates of these sizes in MiB. */
export async function benchTemplates(
  product: string,
  rounds: number,
  sizes: readonly number[],
): Promise<void> {
  const rows = [[
    "memory",
    "one clone beyond the command's start, ms",
    `${MANY} clones, ms`,
    "each takes, MiB",
    "own pages, MiB",
    "page tables, MiB",
    "rollback itself, ms",
    "rollback beyond the command's start, ms",
  ]];
  for (const mebibytes of sizes) {
    rows.push([`${mebibytes} MiB`, ...columns(await measure(product, rounds, mebibytes))]);
  }
  console.log(table(rows));
}

async function measure(product: string, rounds: number, mebibytes: number): Promise<Cost> {
  const folder = await Deno.makeTempDir({ prefix: "stasis-bench-" });
  const bench = new Bench(product, folder);
  try {
    await bench.load(mebibytes * MIB);
    const cost: Cost = {
      start: [],
      one: [],
      many: [],
      taken: [],
      own: [],
      tables: [],
      rollback: [],
      rollbackCommand: [],
    };
    for (let round = 0; round < rounds; round++) await bench.round(cost);
    return cost;
  } finally {
    await bench.end();
    await Deno.remove(folder, { recursive: true });
  }
}

class Bench {
  constructor(readonly product: string, readonly folder: string) {}

  async load(size: number): Promise<void> {
    const [program, ready] = [`${this.folder}/idle.py`, `${this.folder}/ready`];
    await Deno.writeTextFile(program, PROGRAM);
    await this.#stasis("run", "-d", "--name", "idle", "--", "python3", program, String(size), ready);
    while (!await Deno.stat(ready).then(() => true, () => false)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await this.#stasis("snapshot", "idle", "--out", `${this.folder}/image`);
    await this.#stasis("template", "create", `${this.folder}/image`, "--name", "idle");
    await this.#stasis("template", "load", "idle", "--limit", `${size * 2}`);
    await this.#removeAll();
  }

  async round(cost: Cost): Promise<void> {
    cost.start.push(await this.#timed("--version"));
    cost.one.push(await this.#timed("clone", "idle", "--name", "one"));
    const begun = performance.now();
    const told = JSON.parse(
      await this.#stasis("rollback", "one", `${this.folder}/image`, "--force", "--json"),
    );
    cost.rollbackCommand.push(performance.now() - begun - (cost.start.at(-1) ?? 0));
    cost.rollback.push((told as { total_us: number }).total_us / 1000);
    await this.#removeAll();
    const before = Deno.systemMemoryInfo().available;
    cost.many.push(await this.#timed("clone", "idle", "--count", String(MANY), "--name", "many"));
    cost.taken.push((before - Deno.systemMemoryInfo().available) / MANY);
    const pids = await this.#pids();
    cost.own.push(sum(pids.map(ownBytes)) / MANY);
    cost.tables.push(sum(pids.map((pid) => kibibytes(`/proc/${pid}/status`, /^VmPTE:\s+(\d+)/gm))) / MANY);
    await this.#removeAll();
  }

  async end(): Promise<void> {
    await this.#removeAll().catch(() => {});
    await this.#stasis("template", "unload", "idle").catch(() => {});
  }

  async #pids(): Promise<number[]> {
    const apps = JSON.parse(await this.#stasis("ps", "--json")) as { state: string; pid?: number }[];
    return apps.flatMap(({ pid }) => pid === undefined ? [] : [pid]);
  }

  async #removeAll(): Promise<void> {
    const aids = (await this.#stasis("ps", "--quiet")).split("\n").filter((aid) => aid !== "");
    const end = async (aid: string) => {
      await this.#stasis("kill", aid).catch(() => {});
      await this.#stasis("wait", aid).catch(() => {});
    };
    for (let first = 0; first < aids.length; first += 8) {
      await Promise.all(aids.slice(first, first + 8).map(end));
    }
    if (aids.length > 0) await this.#stasis("rm", ...aids);
  }

  async #timed(...args: string[]): Promise<number> {
    const begun = performance.now();
    await this.#stasis(...args);
    return performance.now() - begun;
  }

  async #stasis(...args: string[]): Promise<string> {
    const env = { STASIS_HOME: `${this.folder}/home` };
    const { success, stdout, stderr } = await new Deno.Command(this.product, { args, env }).output();
    const decoder = new TextDecoder();
    if (!success) throw new Error(`Could not run stasis ${args.join(" ")}: ${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  }
}

function ownBytes(pid: number): number {
  return kibibytes(`/proc/${pid}/smaps_rollup`, /^Private_(?:Clean|Dirty):\s+(\d+)/gm);
}

/** The sum of what `pattern` finds in a file of /proc, in bytes. */
function kibibytes(path: string, pattern: RegExp): number {
  return sum([...Deno.readTextFileSync(path).matchAll(pattern)].map(([, number]) => Number(number) * 1024));
}

function sum(values: readonly number[]): number {
  return values.reduce((all, one) => all + one, 0);
}

function columns(cost: Cost): string[] {
  const beyond = cost.one.map((one, index) => one - (cost.start[index] ?? 0));
  const mebibytes = (values: number[]) => show(summarise(values.map((bytes) => bytes / MIB)));
  return [
    show(summarise(beyond)),
    show(summarise(cost.many)),
    mebibytes(cost.taken),
    mebibytes(cost.own),
    mebibytes(cost.tables),
    show(summarise(cost.rollback)),
    show(summarise(cost.rollbackCommand)),
  ];
}
