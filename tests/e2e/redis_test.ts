/** redis-server with 256 MiB of data, under load before, during and after. */

import { ok, strictEqual } from "node:assert/strict";
import { capture, freePort, must, Stage, until } from "./stage/stage.ts";

const KEYS = 65_536;
const BYTES = 4096;

Deno.test("redis answers every request while a snapshot is taken, and has every value after a restore", async () => {
  await using stage = await Stage.open();
  const port = String(freePort());
  const redis = (...args: string[]) => must(["redis-cli", "-p", port, ...args]);
  await stage.run(
    "redis",
    "redis-server",
    "--port",
    port,
    "--save",
    "",
    "--dir",
    stage.folder,
    "--enable-debug-command",
    "yes",
  );
  await until("redis answer", async () => (await redis("ping")) === "PONG" || undefined);
  await redis("debug", "populate", String(KEYS), "key", String(BYTES));
  const digest = await redis("debug", "digest");

  const load = new Deno.Command("redis-benchmark", {
    args: ["-p", port, "-n", "200000", "-c", "20", "-t", "ping_inline,get", "-q"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  await stage.stasis("snapshot", "redis");
  const { code, stderr } = await load.output();
  strictEqual(code, 0, new TextDecoder().decode(stderr));
  ok(!/error/i.test(new TextDecoder().decode(stderr)), "not one request failed");

  await stage.roundTrip("redis");
  strictEqual(await redis("dbsize"), String(KEYS));
  strictEqual(await redis("debug", "digest"), digest, "every value agrees");
  const after = await capture([
    "redis-benchmark",
    "-p",
    port,
    "-n",
    "20000",
    "-c",
    "20",
    "-t",
    "get,set",
    "-q",
  ]);
  strictEqual(after.code, 0, after.stderr);
});
