/** What it takes to join an environment, and to make and remove very many of them. */

import { fileURLToPath } from "node:url";
import { show, summarise } from "../statistics.ts";
import { type Host, output } from "./host.ts";

const MANY = 200;
const PART = 50;

/** A command that runs an application in an environment, beside one that gives it a network of its own with nothing in it. */
export async function joining(host: Host, rounds: number): Promise<string[][]> {
  await host.stasis("vne", "create", "joined", "--subnet", "10.10.8.0/24");
  const [without, within, difference]: number[][] = [[], [], []];
  const run = (...where: string[]) => host.timed("run", "-d", ...where, "--", "true");
  await run("--vne", "joined");
  for (let round = 0; round < rounds * 4; round++) {
    const alone = await run("--network", "none");
    const joined = await run("--vne", "joined");
    without?.push(alone);
    within?.push(joined);
    difference?.push(joined - alone);
  }
  const cell = (values: number[] = []) => show(summarise(values));
  return [
    ["joining, ms", "--network none", "--vne", "difference"],
    ["the whole command", cell(without), cell(within), cell(difference)],
  ];
}

/** The same without commands, phase by phase; and making and removing many. */
export async function withoutCommands(): Promise<string> {
  const manifest = fileURLToPath(new URL("../../../native/Cargo.toml", import.meta.url));
  const example = ["--release", "--locked", "--example", "costs", "-p", "network"];
  return await output(["cargo", "run", "--quiet", "--manifest-path", manifest, ...example]);
}

/**
 * Commands that make and remove many: milliseconds of the first and the last, and the ratio of the fastest of both. `among` is done
 * while they are there.
 */
export async function growth(host: Host, among: () => Promise<void>): Promise<string[][]> {
  const names = Array.from({ length: MANY }, (_, index) => `many${index}`);
  const made: number[] = [];
  for (const [index, name] of names.entries()) {
    const range = `10.10.${100 + Math.floor(index / 16)}.${index % 16 * 16}/28`;
    made.push(await host.timed("vne", "create", name, "--subnet", range));
  }
  await among();
  const removed: number[] = [];
  for (const name of names) removed.push(await host.timed("vne", "rm", name));
  const row = (title: string, times: number[]) => {
    const [first, last] = [summarise(times.slice(0, PART)), summarise(times.slice(-PART))];
    return [title, show(first), show(last), (last.lowest / first.lowest).toFixed(2)];
  };
  return [
    [`${MANY} environments, ms each`, `first ${PART}`, `last ${PART}`, "ratio"],
    row("the command that makes one", made),
    row("the command that removes one", removed),
  ];
}
