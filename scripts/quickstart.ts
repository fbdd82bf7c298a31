/**
 * The main job on real programs: a redis-server with data in it and a Python program in the middle of its work are
 * put away, and brought back where they were. Everything lies in a folder of its own, which is removed at the end.
 */

import { strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { PythonCounter } from "./showcase/python_counter.ts";
import { RedisServer } from "./showcase/redis_server.ts";
import { Stasis } from "./showcase/stasis.ts";

const KEYS = 20_000;

const folder = await Deno.makeTempDir({ prefix: "stasis-quickstart-" });
const stasis = new Stasis(folder);
try {
  await demonstrate();
  console.log("\nBoth went on where they were.");
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exitCode = 1;
} finally {
  await stasis.killAll();
  await Deno.remove(folder, { recursive: true });
}

async function demonstrate(): Promise<void> {
  const redis = new RedisServer(stasis, folder);
  const counter = new PythonCounter(stasis, folder);
  await redis.start(KEYS);
  await counter.start();
  // Work that is visibly under way: some counting before the snapshot.
  await counter.reaches(10);
  const before = { redis: await redis.look(), counter: await counter.look() };
  console.log(`  redis-server: ${before.redis.keys} keys, run id ${before.redis.runId}`);
  console.log(`  Python: token ${before.counter.token}, has counted to ${before.counter.value}`);

  for (const name of [redis.name, counter.name]) await stasis.show(["snapshot", name, "--stop"]);
  const stopped = await counter.look();
  await delay(500);
  strictEqual((await counter.look()).value, stopped.value, "nothing counts while it is put away");
  strictEqual(await stasis.running(), 0, "no process of either is left");

  for (const name of [redis.name, counter.name]) await stasis.show(["restore", `${name}@latest`, "-d"]);
  const after = { redis: await redis.look(), counter: await counter.reaches(stopped.value + 10) };
  strictEqual(after.redis.keys, before.redis.keys, "every key is there");
  strictEqual(after.redis.runId, before.redis.runId, "it is the same server, not a new one");
  strictEqual(after.counter.token, before.counter.token, "it is the same program, not a new one");
  strictEqual(after.counter.gaps, 0, "it has counted without a gap");
  console.log(`  redis-server: ${after.redis.keys} keys, run id ${after.redis.runId}`);
  console.log(
    `  Python: token ${after.counter.token}, has counted from ${stopped.value} to ${after.counter.value}`,
  );
}
