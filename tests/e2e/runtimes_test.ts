/** Language runtimes with threads, timers and children of their own: each must go on counting where it was. */

import { ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { CACHE, freePort, must, Stage, until } from "./stage/stage.ts";

const PROGRAMS = fileURLToPath(new URL("programs", import.meta.url));

/** Starts a program that logs `round N ...`, and checks that no round is lost over a restore. */
async function roundsGoOn(stage: Stage, ...argv: string[]): Promise<void> {
  await stage.run("rounds", ...argv);
  const rounds = async () =>
    [...(await stage.logs("rounds")).matchAll(/^round (\d+)/gm)].map(([, number]) => Number(number));
  const reaches = (number: number) =>
    until(`round ${number}`, async () => ((await rounds()).at(-1) ?? 0) >= number || undefined);
  await reaches(20);
  await stage.stasis("snapshot", "rounds");
  await reaches(((await rounds()).at(-1) ?? 0) + 20);
  await stage.stasis("snapshot", "rounds", "--stop");
  const before = (await rounds()).at(-1) ?? 0;
  await stage.stasis("restore", "rounds@latest", "-d");
  await reaches(before + 20);
  const after = await rounds();
  strictEqual(after[0], before + 1, "the next round is the first after the restore");
  ok(after.every((number, index) => number === before + 1 + index), "no round is missing");
}

Deno.test("Python goes on with threads, a multiprocessing child, a semaphore and a subprocess", async () => {
  await using stage = await Stage.open();
  await roundsGoOn(stage, "/usr/bin/python3", `${PROGRAMS}/family.py`);
});

Deno.test("Node.js goes on with timers and a worker thread", async () => {
  await using stage = await Stage.open();
  await roundsGoOn(stage, "node", `${PROGRAMS}/timers.js`);
});

Deno.test("a JVM goes on with several threads", async () => {
  await using stage = await Stage.open();
  await must(["javac", "-d", stage.folder, `${PROGRAMS}/Threads.java`]);
  await roundsGoOn(stage, "java", "-Xmx64m", "-cp", stage.folder, "Threads");
});

Deno.test("a static Go server goes on counting its requests", async () => {
  await using stage = await Stage.open();
  await must(["go", "build", "-o", `${stage.folder}/server`, `${PROGRAMS}/server.go`], {
    env: { CGO_ENABLED: "0", GOCACHE: `${CACHE}/go`, HOME: stage.folder },
  });
  const address = `127.0.0.1:${freePort()}`;
  await stage.run("server", `${stage.folder}/server`, address);
  const get = async () => (await (await fetch(`http://${address}/`)).text()).trim();
  strictEqual(await until("an answer", get), "1 true");
  await stage.roundTrip("server");
  for (let request = 2; request < 12; request++) strictEqual(await get(), `${request} true`);
});
