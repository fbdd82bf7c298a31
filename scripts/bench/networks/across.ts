/** Two hosts with a link between them: traffic between members on both, and an application that moves from one to the other. */

import { show, summarise } from "../statistics.ts";
import { Host, Namespace } from "./host.ts";
import { ANSWERING, inSession, serve, type Way } from "./traffic.ts";

const RANGE = "10.10.9.0/24";
const PORT = "5002";
const MEBIBYTES = "64";
/** What a peer may hear nothing at most, in milliseconds. */
const PAUSE = 200;

/** As ssh would, it runs a command on a host. */
const RSH = `#!/bin/sh
host=$1; shift
. "$(dirname "$0")/$host"
exec nsenter --target="$holder" --net -- env STASIS_HOME="$state" sh -c "$*"
`;

/** Hosts called `a` and `b`, at 192.0.2.1 and 192.0.2.2, and one environment on both. */
export class Pair implements AsyncDisposable {
  private constructor(readonly a: Host, readonly b: Host) {}

  static async open(product: string): Promise<Pair> {
    const pair = new Pair(await Host.open(product), await Host.open(product));
    const { a, b } = pair;
    await a.network.set(`ip link add under type veth peer name under netns ${b.network.pid}`);
    for (const [name, host, number] of [["a", a, 1], ["b", b, 2]] as const) {
      await host.network.set(`ip address add 192.0.2.${number}/24 dev under`, "ip link set under up");
      await Deno.writeTextFile(
        `${a.folder}/${name}`,
        `holder=${host.network.pid}\nstate=${host.folder}/home\n`,
      );
    }
    await Deno.writeTextFile(`${a.folder}/rsh`, RSH, { mode: 0o755 });
    const hosts = ["--self", "a", "--peer", "b=192.0.2.2", "--rsh", `${a.folder}/rsh`, "--remote", product];
    await a.stasis("vne", "create", "across", "--subnet", RANGE, ...hosts);
    return pair;
  }

  /** Starts a member and waits for its first word, where it has one. */
  async member(host: Host, name: string, words: readonly string[], ready = true): Promise<string> {
    await host.stasis("run", "-d", "--name", name, "--vne", "across", "--", ...words);
    while (ready && !(await host.stasis("logs", name)).includes("ready"));
    return await this.address(host, name);
  }

  async address(host: Host, name: string): Promise<string> {
    const { members } = JSON.parse(await host.stasis("vne", "show", "across", "--json")) as Shown;
    return members.find((one) => one.name === name)?.addresses[0] ?? "nowhere";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.b.clear().catch(() => {});
    await this.a[Symbol.asyncDispose]();
    await this.b[Symbol.asyncDispose]();
  }
}

interface Shown {
  members: { name: string; addresses: string[] }[];
}

/** Two members, one on each host. */
export async function membersAcross(pair: Pair): Promise<Way> {
  await pair.member(pair.a, "asks", ["sleep", "infinity"], false);
  const address = await pair.member(pair.b, "answers", [pair.b.traffic, ...ANSWERING]);
  const run = (...words: string[]) => pair.a.stasis("exec", "asks", "--", ...words);
  return { name: "members on two hosts", address, run };
}

/** Two namespaces at bridges that a plain VXLAN joins, with the same longest packet. */
export async function plainTunnel({ a, b }: Pair): Promise<{ way: Way; close(): Promise<void> }> {
  const ends = [await Namespace.open(), await Namespace.open()] as const;
  for (const [index, { network }] of [a, b].entries()) {
    const [here, there] = [`192.0.2.${index + 1}`, `192.0.2.${2 - index}`];
    const end = ends[index as 0 | 1];
    await network.set(
      "ip link add plain type bridge",
      `ip link add tunnel type vxlan id 4242 dstport 8472 local ${here} remote ${there}`,
      "ip link set tunnel master plain up mtu 1450",
      `ip link add end master plain mtu 1450 type veth peer name eth0 mtu 1450 netns ${end.pid}`,
      "ip link set plain up",
      "ip link set end up",
    );
    await end.set(`ip address add 10.99.1.${index + 1}/24 dev eth0`, "ip link set eth0 up");
  }
  const server = await serve(b, ends[1]);
  const way = { name: "plain VXLAN", address: "10.99.1.2", run: inSession(ends[0]) };
  return {
    way,
    async close() {
      await server();
      for (const end of ends) await end[Symbol.asyncDispose]();
      for (const { network } of [a, b]) await network.set("ip link del tunnel", "ip link del plain");
    },
  };
}

/** An application that moves back and forth while a member on the first host is fed by it: what that one notices. */
export async function moving(pair: Pair, rounds: number): Promise<string[][]> {
  const { a, b } = pair;
  const address = await pair.member(b, "feeds", [b.traffic, "feed", PORT, "1", MEBIBYTES]);
  await pair.member(a, "watches", ["sleep", "infinity"], false);
  const pauses: number[] = [];
  const moves: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [from, to] = round % 2 === 0 ? [b, a] : [a, b];
    const watching = a.stasis("exec", "watches", "--", a.traffic, "watch", address, PORT, "0", "5");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const begun = performance.now();
    await move(pair, from, to);
    moves.push(performance.now() - begun);
    pauses.push(Number((await watching).split(" ")[0]));
  }
  const pause = summarise(pauses);
  return [
    [`moving ${MEBIBYTES} MiB that feed a member, ms`, "the member hears nothing", "the command takes"],
    ["", `${show(pause)}${pause.median > PAUSE ? ` above ${PAUSE}` : ""}`, show(summarise(moves))],
  ];
}

async function move(pair: Pair, from: Host, to: Host): Promise<void> {
  const name = to === pair.a ? "a" : "b";
  await from.stasis("move", "feeds", name, "--rsh", `${pair.a.folder}/rsh`, "--remote", to.product);
}
