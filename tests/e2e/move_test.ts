/** Running applications move from host to host, with their addresses and connections. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Land, refusal } from "./stage/land.ts";
import { must, until } from "./stage/stage.ts";
import { received, streamer } from "./stage/streams.ts";
import type { Town } from "./stage/town.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

/** Changes a little of what it has in memory, all the time, and says how far it is and whether all of it is right. */
const COUNTER = `
import time
PAGE = 4096
memory = bytearray(b"".join(number.to_bytes(8, "big") * (PAGE // 8) for number in range(2048)))
number = 0
while True:
    number += 1
    page = number % 16 * 64
    memory[page * PAGE] = number % 256
    right = all(memory[other * PAGE + 8:other * PAGE + 16] == other.to_bytes(8, "big") for other in range(2048))
    print("at" if right and memory[page * PAGE] == number % 256 else "fail:", number, flush=True)
    time.sleep(0.02)
`;

/**
 * A remote shell that breaks: `cutter WORD (before|after) RSH HOST...` runs the real one, and ends it before or after it has carried
 * that word.
 */
const CUTTER = `#!/usr/bin/env python3
import os, signal, subprocess, sys, threading
word, when, *command = sys.argv[1:]
mark = b'"say":"' + word.encode() + b'"' if word != "alive" else b'"say":{"alive"'
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
def cut():
    os.killpg(child.pid, signal.SIGKILL)
    os._exit(255)
def carry(source, sink):
    seen = b""
    while True:
        piece = os.read(source, 1 << 16)
        if not piece: break
        found = mark in seen + piece
        if found and when == "before": cut()
        view = memoryview(piece)
        while view: view = view[os.write(sink, view):]
        if found: cut()
        seen = piece[-64:]
    os.close(sink)
threading.Thread(target=carry, args=(0, child.stdin.fileno()), daemon=True).start()
carry(child.stdout.fileno(), 1)
sys.exit(child.wait())
`;

interface Moved {
  aid: string;
  pause_us: number;
  bytes: { first: number; last: number };
  notes: string[];
}

/** Moves an application from one computer to another. */
async function move(land: Land, name: string, from: string, to: string, ...more: string[]): Promise<Moved> {
  return JSON.parse(await land.town(from).stasis("move", name, to, ...land.ways, "--json", ...more));
}

/** What a failing move says; `rsh` is another remote shell. */
function fails(land: Land, name: string, from: string, to: string, rsh = land.rsh): Promise<string> {
  const [, , ...rest] = land.ways;
  return refusal(land.town(from), "move", name, to, "--rsh", rsh, ...rest);
}

/** The state of the newest application of that name; undefined where there is none. */
async function stateOf(town: Town, name: string): Promise<string | undefined> {
  const all: { name: string; state: string }[] = JSON.parse(await town.stasis("ps", "--json"));
  const own = all.filter((one) => one.name === name);
  return (own.find(({ state }) => state === "running") ?? own[0])?.state;
}

/** Waits until applications, each on its computer, have received more blocks of what the other one sends. */
async function streamsGoOn(land: Land, ...where: [name: string, computer: string][]): Promise<void> {
  for (const [name, computer] of where) {
    const { stage } = land.town(computer).host;
    const before = await received(stage, name);
    await until(`${name} receive more on ${computer}`, async () => {
      return await received(stage, name) > before + 40 || undefined;
    });
  }
}

/** Two applications that stream to each other: `left` on the first computer, `right` on the second. */
async function startStreams(land: Land): Promise<void> {
  const [a, b] = [land.town("a"), land.town("b")];
  const program = await streamer(a.host.stage);
  await a.stasis("run", "-d", "--name", "left", "--vne", "shop", "--", ...program, "listen", "7000");
  await until("left run", async () => (await a.host.stage.logs("left")).includes("ready") || undefined);
  const address = await land.addressOf("a", "shop", "left");
  await b.stasis("run", "-d", "--name", "right", "--vne", "shop", "--", ...program, address, "7000");
  await streamsGoOn(land, ["left", "a"], ["right", "b"]);
}

async function open(): Promise<Land> {
  const land = await Land.open(2);
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/24");
  return land;
}

/** What only a move leaves when it does not clean up after itself. */
async function leftovers(town: Town): Promise<string[]> {
  const { STASIS_HOME: home } = town.host.stage.env;
  const snapshots: { id: string }[] = JSON.parse(await town.stasis("snapshots", "--json"));
  const arriving = await must(["sh", "-c", `ls "${home}/data/arriving" 2>/dev/null || true`]);
  return [...snapshots.map(({ id }) => id), ...arriving.split("\n").filter((one) => one !== "")];
}

Deno.test({
  name: `a stream between two applications goes on while both move from host to host${why}`,
  ignore,
  async fn() {
    await using land = await open();
    await startStreams(land);
    const address = await land.addressOf("a", "shop", "left");
    const { notes, pause_us } = await move(land, "left", "a", "b");
    deepStrictEqual(notes, []);
    ok(pause_us > 0);
    await streamsGoOn(land, ["left", "b"], ["right", "b"]);
    strictEqual(await land.addressOf("b", "shop", "left"), address);
    strictEqual(await stateOf(land.town("a"), "left"), undefined, "its record has gone with it");
    await move(land, "right", "b", "a");
    await streamsGoOn(land, ["left", "b"], ["right", "a"]);
    await move(land, "left", "b", "a");
    await streamsGoOn(land, ["left", "a"], ["right", "a"]);
    strictEqual(await land.addressOf("a", "shop", "left"), address);
    for (const name of ["a", "b"]) deepStrictEqual(await leftovers(land.town(name)), []);
  },
});

Deno.test({
  name: `an application in no environment moves with its memory; most of it goes before it is stopped${why}`,
  ignore,
  async fn() {
    await using land = await Land.open(2);
    const [a, b] = [land.town("a"), land.town("b")];
    const program = await a.host.stage.write("counter.py", COUNTER);
    await a.stasis("run", "-d", "--name", "counter", "--network", "none", "--", "python3", program);
    await until("it count", async () => (await a.host.stage.logs("counter")).includes("at 3") || undefined);
    const { bytes } = await move(land, "counter", "a", "b", "--keep");
    ok(bytes.last < bytes.first / 2, JSON.stringify(bytes));
    const before = await b.host.stage.logs("counter");
    await until("it go on", async () => {
      const log = await b.host.stage.logs("counter");
      ok(!log.includes("fail"), log);
      return log.length > before.length + 20 || undefined;
    });
    strictEqual((await leftovers(a)).length, 2, "with --keep the snapshots stay");
  },
});

Deno.test({
  name: `an application that cannot be taken in runs on where it is${why}`,
  ignore,
  async fn() {
    await using land = await open();
    await startStreams(land);
    const [a, b] = [land.town("a"), land.town("b")];
    const refused = async (what: RegExp) => {
      const said = await fails(land, "left", "a", "b");
      match(said, what);
      match(said, /"left" runs on here, unharmed/);
      await streamsGoOn(land, ["left", "a"], ["right", "b"]);
      deepStrictEqual(await leftovers(a), []);
      deepStrictEqual(await leftovers(b), []);
    };

    await b.stasis("run", "-d", "--name", "left", "--", "sleep", "600");
    await refused(/an application here has this name/);
    await b.stasis("kill", "left");
    await b.stasis("wait", "left");
    await b.stasis("rm", "left");

    await land.reachable("b", false);
    await refused(/No route to host/);
    await land.reachable("b", true);

    const arriving = `${b.host.stage.env.STASIS_HOME}/data/arriving`;
    await must(["mkdir", "-p", arriving]);
    await must(["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "none", arriving]);
    try {
      await refused(/No space left/i);
    } finally {
      await must(["umount", arriving]);
    }

    await a.create("bank", "--subnet", "10.10.3.0/24");
    await a.serve("safe", "bank");
    match(await fails(land, "safe", "a", "b"), /Could not find the environment "bank"/);
    strictEqual(await stateOf(a, "safe"), "running");
  },
});

Deno.test({
  name: `wherever a move is cut off, the application runs once${why}`,
  ignore,
  async fn() {
    await using land = await open();
    await startStreams(land);
    const [a, b] = [land.town("a"), land.town("b")];
    const cutter = await a.host.stage.write("cutter", CUTTER);
    await Deno.chmod(cutter, 0o755);
    const cut = (word: string, when: string) =>
      fails(land, "left", "a", "b", `${cutter} ${word} ${when} ${land.rsh}`);
    const running = async () => [await stateOf(a, "left"), await stateOf(b, "left")];

    for (
      const [word, when] of [["ready", "before"], ["prepared", "before"], ["coming", "after"], [
        "built",
        "before",
      ]]
    ) {
      match(await cut(word ?? "", when ?? ""), /"left" runs on here, unharmed/, word);
      deepStrictEqual(await running(), ["running", undefined], word);
      await streamsGoOn(land, ["left", "a"], ["right", "b"]);
    }

    match(await cut("built", "after"), /had been stopped for the move, and runs here again/);
    deepStrictEqual(await running(), ["running", undefined]);
    await streamsGoOn(land, ["left", "a"], ["right", "b"]);
    deepStrictEqual(await leftovers(a), []);

    const lost = await cut("go", "before");
    match(lost, /Could not find out whether "left" runs on b[^]*had been told to let it go on/);
    deepStrictEqual(await running(), ["exited", undefined], "it was never told");
    const [, snapshot = ""] = /stasis restore (\w+)/.exec(lost) ?? [];
    await a.stasis("restore", snapshot, "-d");
    await streamsGoOn(land, ["left", "a"], ["right", "b"]);
    await a.stasis("rm", snapshot);

    match(await cut("alive", "before"), /Could not find out whether "left" runs on b/);
    deepStrictEqual(await running(), ["exited", "running"], "it was told, and nobody heard of it");
    await streamsGoOn(land, ["left", "b"], ["right", "b"]);
  },
});
