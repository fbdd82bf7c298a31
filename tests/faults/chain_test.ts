/** Chains that cannot be taken or brought back: all applications run on, and no half of one is left. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { NetworkHost } from "../e2e/stage/network_host.ts";
import { must, Stage, until } from "../e2e/stage/stage.ts";
import { received, startStreams, streamOn } from "../e2e/stage/streams.ts";
import { Moments } from "./moments.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network namespaces)" : "";

const KILLS = 24;

/** Says something again and again. */
const TICKER = ["python3", "-u", "-c", "import time\nwhile True: print('tick'); time.sleep(0.05)"];

/** Holds a connection to a UNIX socket that another application has. */
const LISTENER = "import os, socket, sys\nif os.path.exists(sys.argv[1]): os.unlink(sys.argv[1])\n" +
  "s = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\nprint('ready', flush=True)\ns.accept()[0].recv(1)\n";
const CALLER = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n" +
  "print('ready', flush=True)\ns.recv(1)\n";

/** Cannot be stopped: its main thread waits in the kernel for a child that never goes on. */
const STUCK = '#include <unistd.h>\nint main(void) { write(1, "ready\\n", 6); if (vfork() == 0) pause(); }\n';

async function goesOn(stage: Stage, ...names: string[]): Promise<void> {
  for (const name of names) {
    const before = (await stage.logs(name)).length;
    await until(`${name} go on`, async () => (await stage.logs(name)).length > before || undefined);
  }
}

/** Nothing of a chain is left in the state folder. */
function nothingLeft(stage: Stage): void {
  const data = `${stage.folder}/home/data`;
  deepStrictEqual(namesIn(`${data}/chains`), []);
  deepStrictEqual(namesIn(`${data}/snapshots`), []);
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function ready(stage: Stage, name: string): Promise<void> {
  await until(`${name} run`, async () => (await stage.logs(name)).includes("ready") || undefined);
}

Deno.test("one that is refused keeps the others from being captured, and all run on", async () => {
  await using stage = await Stage.open();
  const path = `${stage.folder}/socket`;
  await stage.run("server", "python3", "-c", LISTENER, path);
  await ready(stage, "server");
  await stage.run("client", "python3", "-c", CALLER, path);
  await ready(stage, "client");
  await stage.run("one", ...TICKER);
  for (const stop of [[], ["--stop"]]) {
    const refused = await stage.attempt("snapshot", "one", "client", ...stop);
    strictEqual(refused.code, 11, refused.stderr);
    match(
      refused.stderr,
      /one snapshot of "one", "client"[\s\S]*"client": [\s\S]*All of them run on unharmed/,
    );
    await goesOn(stage, "one");
    nothingLeft(stage);
  }
  strictEqual((await stage.application("client")).state, "running");
});

Deno.test("one that cannot be stopped in time is named, and the others stand still no longer", async () => {
  await using stage = await Stage.open();
  const program = `${stage.folder}/stuck`;
  await must(["cc", "-o", program, await stage.write("stuck.c", STUCK)]);
  await stage.run("one", ...TICKER);
  await stage.run("stuck", program);
  await ready(stage, "stuck");
  const begun = performance.now();
  const late = await stage.attempt("snapshot", "one", "stuck", "--patience", "0.3");
  ok(performance.now() - begun < 9000, "it does not wait for as long as for a single one");
  strictEqual(late.code, 1, late.stderr);
  match(late.stderr, /"stuck"[\s\S]*All of them run on unharmed/);
  await goesOn(stage, "one");
  nothingLeft(stage);
});

Deno.test({
  name: `a full disk leaves all running and nothing of the chain${why}`,
  ignore,
  async fn() {
    await using stage = await Stage.open();
    const home = `${stage.folder}/home`;
    await Deno.mkdir(home);
    const script = 'mount -t tmpfs -o size=16m small "$0" && echo ready && cat';
    const holder = new Deno.Command("unshare", {
      args: ["--mount", "sh", "-c", script, home],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    await holder.stdout.getReader().read();
    stage.within = ["nsenter", "-m", "-t", String(holder.pid), "--"];
    stage.root = `/proc/${holder.pid}/root`;
    const large = "import os, time\nheap = os.urandom(24 << 20)\nprint('ready', flush=True)\n" +
      "while True: print('tick', flush=True); time.sleep(0.05)";
    await stage.run("small", ...TICKER);
    await stage.run("large", "python3", "-c", large);
    await ready(stage, "large");
    for (const stop of [[], ["--stop"]]) {
      const full = await stage.attempt("snapshot", "small", "large", ...stop);
      strictEqual(full.code, 1, full.stderr);
      // Which of the two finds the disk full depends on who comes first.
      match(
        full.stderr,
        /"(?:small|large)": [\s\S]*No space left on device[\s\S]*All of them run on unharmed/,
      );
      const left = await must([...stage.within, "find", `${home}/data/chains`, `${home}/data/snapshots`]);
      deepStrictEqual(left.split("\n").sort(), [`${home}/data/chains`, `${home}/data/snapshots`]);
      await goesOn(stage, "small");
    }
    for (const name of ["small", "large"]) {
      await stage.stasis("kill", name);
      await stage.stasis("wait", name);
    }
    stage.within = [];
    stage.root = "";
    await holder.stdin.close();
    await holder.status;
  },
});

Deno.test({
  name: `streams go on when chains of them are killed at any moment, and every chain is whole${why}`,
  ignore,
  async fn() {
    await using host = await NetworkHost.open();
    const { stage } = host;
    await startStreams(stage, { address: "127.0.0.1", options: [] }, { options: [] });
    const moments = await Moments.of(() => stage.stasis("snapshot", "left", "right"));
    let killed = 0;
    for (let round = 0; round < KILLS; round++) {
      const command = stage.spawn("snapshot", "left", "right", ...(round % 2 === 0 ? ["--stop"] : []));
      if (await moments.kill(command)) killed++;
      const listed: { chain?: string }[] = JSON.parse(await stage.stasis("snapshots", "--json"));
      ok(listed.every(({ chain }) => chain !== undefined), "no snapshot without its chain");
      const chains = new Set(listed.map(({ chain }) => chain));
      strictEqual(listed.length, chains.size * 2, "every chain is whole");
      if ((await stage.application("left")).state !== "running") await back(stage, [...chains][0] ?? "");
    }
    ok(killed > KILLS / 3, `${killed} were killed`);
    await streamOn(stage, "left", "right");
    ok(received(stage, "left") > 0);
    deepStrictEqual(await host.tables(), [], "no lock is left");
    deepStrictEqual(namesIn(`${stage.folder}/home/data/chains`).filter((name) => name.startsWith(".")), []);
  },
});

/** A command that was done before it could be killed has ended them. */
async function back(stage: Stage, chain: string): Promise<void> {
  for (const name of ["left", "right"]) {
    await stage.attempt("wait", name);
    await stage.stasis("rm", name);
  }
  await stage.stasis("restore", chain);
}

Deno.test("a chain one of whose images is damaged comes back not at all", async () => {
  await using stage = await Stage.open();
  await stage.run("one", ...TICKER);
  await stage.run("two", ...TICKER);
  const chain = await stage.stasis("snapshot", "one", "two", "--stop");
  const listed: { name: string; dir: string }[] = JSON.parse(await stage.stasis("snapshots", "--json"));
  const dir = listed.find(({ name }) => name === "two")?.dir ?? "";
  const [pack = ""] = namesIn(`${dir}/packs`);
  const path = `${dir}/packs/${pack}`;
  const bytes = await Deno.readFile(path);
  bytes[8192] = (bytes[8192] ?? 0) ^ 1;
  await Deno.writeFile(path, bytes);
  const failed = await stage.attempt("restore", chain);
  strictEqual(failed.code, 20, failed.stderr);
  match(failed.stderr, /bring the chain back[\s\S]*"two": [\s\S]*Nothing was left behind/);
  const running = JSON.parse(await stage.stasis("ps", "--json"));
  deepStrictEqual(running.filter(({ state }: { state: string }) => state === "running"), []);
});
