/** The command killed at any moment of a snapshot: the application must not notice. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Stage, until } from "../e2e/stage/stage.ts";
import { Bystander, undisturbed } from "./bystander.ts";
import { Moments } from "./moments.ts";

const KILLS = 100;

/** Starts snapshots that are killed at moments spread over the time that one takes. Returns how many were. */
async function killSnapshots(stage: Stage, pid: number): Promise<number> {
  const moments = await Moments.of(() => stage.stasis("snapshot", "--pid", String(pid)));
  let killed = 0;
  for (let round = 0; round < KILLS; round++) {
    if (await moments.kill(stage.spawn("snapshot", "--pid", String(pid)))) killed++;
  }
  return killed;
}

function storeOf(stage: Stage): string[] {
  return [...Deno.readDirSync(`${stage.env.STASIS_HOME}/data/snapshots`)].map(({ name }) => name);
}

Deno.test("threads go on undisturbed when snapshots of them are killed at any moment", async () => {
  await using stage = await Stage.open();
  await using subject = await Bystander.start(stage, await undisturbed(stage), "tolerant");
  await stage.stasis("snapshot", "--pid", String(subject.pid));
  const [maps, masks] = [subject.maps(), subject.masks()];
  const killed = await killSnapshots(stage, subject.pid);
  ok(killed > KILLS / 2, `${killed} were killed`);
  await until("the tracer gone", () => subject.status("TracerPid") === "0" || undefined);
  deepStrictEqual(subject.masks(), masks);
  // The next snapshot takes away what killed ones left: in the process, and in the store.
  await stage.stasis("snapshot", "--pid", String(subject.pid));
  deepStrictEqual(subject.maps(), maps);
  ok(storeOf(stage).every((name) => /^[0-9a-f]{12}$/.test(name)), storeOf(stage).join(" "));
  Deno.kill(subject.pid, "SIGTERM");
  strictEqual((await subject.process.status).code, 0, subject.said());
  match(subject.said(), /^pass$/m);
});
