/** What virtual ids cost each call that bears one, as a ratio to the same program run natively, and a look-up in the table. */

import { fileURLToPath } from "node:url";
import { showRatio, summarise, table } from "./statistics.ts";

/** Batches whose least is taken in one run of the program, and calls in each: about 0.2 s natively. */
const BATCHES = "20";
const SIZE = "4000";

/** The library is to cost a twentieth at most. */
const TARGET = 1.05;

interface Way {
  readonly name: string;
  /** Options of `stasis run`; none for a program that runs as it is. */
  readonly options?: readonly string[];
}

const NATIVE: Way = { name: "native" };
const WAYS: readonly Way[] = [
  NATIVE,
  { name: "library", options: ["--ids", "translate", "--interpose", "library"] },
  { name: "auto", options: ["--ids", "translate", "--interpose", "auto"] },
  { name: "kernel", options: ["--ids", "translate", "--interpose", "kernel"] },
];

/** Nanoseconds for each call. */
type Costs = ReadonlyMap<string, number>;

/** Measures all ways that this build has, `rounds` times by turns, and prints ratios to native. */
export async function benchVirtualIds(product: string, rounds: number): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "stasis-bench-" });
  try {
    const program = `${folder}/calls`;
    await output(["cc", "-O2", "-o", program, fileURLToPath(new URL("calls.c", import.meta.url))]);
    const bench = new Bench(product, program, { STASIS_HOME: `${folder}/home` });
    const there = await bench.present(WAYS);
    const measured = new Map<Way, Costs[]>(there.map((way) => [way, []]));
    for (let round = 0; round < rounds; round++) {
      for (const [way, costs] of measured) costs.push(await bench.once(way));
    }
    console.log(table(rowsOf(measured)));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  await lookUps();
}

class Bench {
  constructor(
    readonly product: string,
    readonly program: string,
    readonly env: Record<string, string>,
  ) {}

  /** The ways that work; why the others do not is printed. */
  async present(ways: readonly Way[]): Promise<Way[]> {
    const there = [];
    for (const way of ways) {
      try {
        await output(this.#argv(way, "1", "10"), this.env);
        there.push(way);
      } catch (error) {
        console.log(`${way.name}: not in this build: ${reasonOf(error)}`);
      }
    }
    return there;
  }

  async once(way: Way): Promise<Costs> {
    const lines = (await output(this.#argv(way, BATCHES, SIZE), this.env)).trim().split("\n");
    return new Map(lines.map((line) => {
      const [name = "", nanoseconds] = line.split(" ");
      return [name, Number(nanoseconds)];
    }));
  }

  #argv({ options }: Way, ...args: string[]): string[] {
    const own = [this.program, ...args];
    return options === undefined ? own : [this.product, "run", "--quiet", ...options, "--", ...own];
  }
}

/** One row a call: native nanoseconds, then each way's cost beside native's of the same round. */
function rowsOf(measured: ReadonlyMap<Way, readonly Costs[]>): string[][] {
  const native = measured.get(NATIVE) ?? [];
  const others = [...measured.keys()].filter((way) => way !== NATIVE);
  const heading = ["call", "native ns", ...others.map(({ name }) => `${name} / native`)];
  const rows = [...native[0]?.keys() ?? []].map((call) => {
    const own = summarise(native.map((costs) => costs.get(call) ?? Number.NaN));
    const ratios = others.map((way) => {
      const costs = measured.get(way) ?? [];
      const ratio = summarise(costs.map((cost, round) => ratioOf(cost, native[round], call)));
      const missed = way.name === "library" && ratio.median > TARGET;
      return `${showRatio(ratio)}${missed ? ` above ${TARGET}` : ""}`;
    });
    return [call, `${own.median.toFixed(0)} (${own.lowest.toFixed(0)}-${own.highest.toFixed(0)})`, ...ratios];
  });
  return [heading, ...rows];
}

function ratioOf(costs: Costs, native: Costs | undefined, call: string): number {
  return (costs.get(call) ?? Number.NaN) / (native?.get(call) ?? Number.NaN);
}

/** What a look-up costs in tables of several sizes. */
async function lookUps(): Promise<void> {
  const workspace = fileURLToPath(new URL("../../native", import.meta.url));
  const example = ["cargo", "run", "--quiet", "--release", "--locked", "--example", "lookup", "-p", "ids"];
  try {
    console.log(`\nlook-ups in the table\n${(await output(example, {}, workspace)).trimEnd()}`);
  } catch (error) {
    console.log(`\nlook-ups in the table: not in this build: ${reasonOf(error)}`);
  }
}

async function output(argv: string[], env: Record<string, string> = {}, cwd?: string): Promise<string> {
  const [program = "", ...args] = argv;
  const options = { args, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const command = new Deno.Command(program, cwd === undefined ? options : { ...options, cwd });
  const { success, stdout, stderr } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
  return new TextDecoder().decode(stdout);
}

/** The cause that a command gave, as one line. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (/"causes":\["((?:[^"\\]|\\.)*)"/.exec(text)?.[1]?.replaceAll('\\"', '"') ??
    /cause: (.*)/.exec(text)?.[1] ?? text.split("\n")[0] ?? "").trim();
}
