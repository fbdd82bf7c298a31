/** What traffic between two members costs, beside that between two plain namespaces of the same shape. */

import { show, showRatio, summarise } from "../statistics.ts";
import { type Host, Namespace } from "./host.ts";

const PORT = "5001";
/** Who answers and who asks are on processors of their own, as far as there are two. */
const [ANSWERS, ASKS] = ["1", "0"];
const SECONDS = "1.0";
const QUESTIONS = "20000";

/** Two ends of a way: one answers at an address, the other can run a command. */
export interface Way {
  readonly name: string;
  readonly address: string;
  run(...words: string[]): Promise<string>;
}

/** MiB per second, and microseconds there and back, each of the best moments of a round. */
export interface Traffic {
  throughput: number;
  latency: number;
}

export const ANSWERING = ["serve", PORT, ANSWERS];

/** One round over a way. */
export async function once(host: Host, { address, run }: Way): Promise<Traffic> {
  const figure = async (what: string, much: string) =>
    Number(await run(host.traffic, what, address, PORT, ASKS, much));
  return { throughput: await figure("stream", SECONDS), latency: await figure("ask", QUESTIONS) };
}

/** Measures two ways by turns: rows of a table, the second way as a ratio to the first; above 1 is better. */
export async function compare(host: Host, rounds: number, plain: Way, ours: Way): Promise<string[][]> {
  const measured: [Traffic, Traffic][] = [];
  // The first time, each end learns where the other is.
  for (const way of [plain, ours]) await once(host, way);
  for (let round = 0; round < rounds; round++) {
    // Neither is always the first: what the machine does otherwise falls on both.
    if (round % 2 === 0) measured.push([await once(host, plain), await once(host, ours)]);
    else {
      const second = await once(host, ours);
      measured.push([await once(host, plain), second]);
    }
  }
  const row = (title: string, of: (one: Traffic) => number, ratio: (a: number, b: number) => number) => [
    title,
    show(summarise(measured.map(([one]) => of(one)))),
    show(summarise(measured.map(([, one]) => of(one)))),
    showRatio(summarise(measured.map(([a, b]) => ratio(of(a), of(b))))),
  ];
  return [
    [`${plain.name} / ${ours.name}`, plain.name, ours.name, "ratio"],
    row("stream, MiB/s", (one) => one.throughput, (a, b) => b / a),
    row("one byte and back, us", (one) => one.latency, (a, b) => a / b),
  ];
}

/** Two namespaces at a bridge, as plain as they come. */
export async function plainBridge(
  host: Host,
): Promise<{ way: Way; close(): Promise<void> }> {
  const ends = [await Namespace.open(), await Namespace.open()] as const;
  await host.network.set("ip link add plain type bridge", "ip link set plain up");
  for (const [index, end] of ends.entries()) {
    const pair = `ip link add plain${index} master plain type veth peer name eth0 netns ${end.pid}`;
    await host.network.set(pair, `ip link set plain${index} up`);
    await end.set(`ip address add 10.99.0.${index + 1}/24 dev eth0`, "ip link set eth0 up");
  }
  const server = await serve(host, ends[1]);
  const way = { name: "veth and bridge", address: "10.99.0.2", run: inSession(ends[0]) };
  return {
    way,
    async close() {
      await server();
      for (const end of ends) await end[Symbol.asyncDispose]();
      await host.network.set("ip link del plain");
    },
  };
}

/** Programs of a namespace have a session each, as those of applications do: the scheduler shares processors between sessions. */
export function inSession(end: Namespace): Way["run"] {
  return (...words) => end.run("setsid", "--wait", ...words);
}

/** Has a namespace answer; returns how to end that. */
export async function serve(host: Host, end: Namespace): Promise<() => Promise<void>> {
  const [program = "", ...args] = end.argv("setsid", host.traffic, ...ANSWERING);
  const child = new Deno.Command(program, { args, stdin: "null", stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  await reader.read();
  return async () => {
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
  };
}

/** Two members of an environment on one host. */
export async function members(host: Host): Promise<Way> {
  await host.stasis("vne", "create", "traffic", "--subnet", "10.10.7.0/24");
  const start = (name: string, ...words: string[]) =>
    host.stasis("run", "-d", "--name", name, "--vne", "traffic", "--", ...words);
  await start("asks", "sleep", "infinity");
  await start("answers", host.traffic, ...ANSWERING);
  while (!(await host.stasis("logs", "answers")).includes("ready"));
  const run = (...words: string[]) => host.stasis("exec", "asks", "--", ...words);
  return { name: "members", address: "10.10.7.2", run };
}
