/** Rollbacks that fail, and ones whose command is killed at any moment: one of the two states runs, and never neither. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { capture, freePort, must, type Outcome, Stage, until } from "../e2e/stage/stage.ts";
import { Moments } from "./moments.ts";

const KILLS = 60;

/** A redis that a snapshot was taken of while "key" was "old". */
class Subject {
  private constructor(readonly stage: Stage, readonly port: string, readonly aid: string) {}

  static async start(stage: Stage): Promise<Subject> {
    const port = String(freePort());
    await stage.run("redis", "redis-server", "--port", port, "--save", "", "--dir", stage.folder);
    const [{ aid }] = JSON.parse(await stage.stasis("ps", "--json"));
    const subject = new Subject(stage, port, aid);
    await until("redis answer", async () => (await subject.redis("ping")) === "PONG" || undefined);
    await subject.redis("set", "key", "old");
    await stage.stasis("snapshot", "redis", "-q");
    await subject.redis("set", "key", "new");
    return subject;
  }

  redis(...args: string[]): Promise<string> {
    return must(["redis-cli", "-p", this.port, ...args]);
  }

  rollback(...args: string[]): Promise<Outcome> {
    return this.stage.attempt("rollback", "redis", "redis@latest", ...args);
  }

  /** The application runs under its AID with this value, and nothing else is there. */
  async expect(value: string): Promise<void> {
    strictEqual(await this.redis("get", "key"), value);
    await this.expectAlone();
  }

  async expectAlone(): Promise<void> {
    const listed: { aid: string; state: string }[] = JSON.parse(await this.stage.stasis("ps", "--json"));
    deepStrictEqual(listed.map((one) => [one.aid, one.state]), [[this.aid, "running"]]);
    const home = this.stage.env.STASIS_HOME ?? "";
    deepStrictEqual(names(`${home}/data/apps`), [".lock", this.aid]);
    deepStrictEqual(names(`${home}/run`), [`${this.aid}.sock`]);
  }

  /** Processes on this host that listen to the subject's port. */
  async servers(): Promise<string[]> {
    const found = await capture(["pgrep", "-f", `redis-server .*:${this.port}$`]);
    return found.stdout.split("\n").filter((pid) => pid !== "");
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

function errorOf(outcome: Outcome): { code: string; aftermath: string; causes: string[] } {
  return JSON.parse(outcome.stderr.trim().split("\n").at(-1) ?? "").error;
}

Deno.test("an application whose rollback is killed at any moment runs on as it was, or as it was once", async () => {
  await using stage = await Stage.open();
  const subject = await Subject.start(stage);
  const moments = await Moments.of(async () => strictEqual((await subject.rollback()).code, 0), 0.1);
  const seen = { killed: 0, old: 0, new: 0 };
  for (let round = 0; round < KILLS; round++) {
    await subject.redis("set", "key", "new");
    if (await moments.kill(stage.spawn("rollback", "redis", "redis@latest"))) seen.killed++;
    const value = await until("an answer", () => subject.redis("get", "key"));
    ok(value === "old" || value === "new", value);
    seen[value]++;
    await until("one server", async () => (await subject.servers()).length === 1 || undefined);
    await subject.expectAlone();
  }
  ok(seen.killed > KILLS / 3, JSON.stringify(seen));
  ok(seen.new > 0, JSON.stringify(seen));
  strictEqual((await subject.rollback()).code, 0);
  await subject.expect("old");
});

Deno.test("a damaged snapshot is found out before the application stands still", async () => {
  await using stage = await Stage.open();
  const subject = await Subject.start(stage);
  const [{ dir }] = JSON.parse(await stage.stasis("snapshots", "--json"));
  const manifest = await Deno.open(`${dir}/manifest`, { read: true, write: true });
  await manifest.seek(-20, Deno.SeekMode.End);
  await manifest.write(new Uint8Array([0xde, 0xad]));
  manifest.close();
  const outcome = await stage.attempt("rollback", "redis", dir, "--json");
  strictEqual(outcome.code, 20, outcome.stderr);
  match(errorOf(outcome).aftermath, /runs on as it was, unharmed/);
  await subject.expect("new");
});

Deno.test("the snapshot of another application is refused, and taken when it is asked for", async () => {
  await using stage = await Stage.open();
  await Subject.start(stage);
  await stage.run("sleeper", "sleep", "1000");
  const outcome = await stage.attempt("rollback", "sleeper", "redis@latest", "--json");
  strictEqual(outcome.code, 2, outcome.stderr);
  match(errorOf(outcome).causes.join(), /of another application, "redis"/);
  const before = JSON.parse(await stage.stasis("ps", "--json"));
  await stage.stasis("snapshot", "sleeper", "-q");
  await stage.stasis("stop", "sleeper");
  await stage.stasis("restore", "sleeper@latest", "-d", "--name", "again");
  strictEqual((await stage.attempt("rollback", "again", "sleeper@latest")).code, 2);
  await stage.stasis("rollback", "again", "sleeper@latest", "--force");
  const after = JSON.parse(await stage.stasis("ps", "--json"));
  ok(after.some((one: { name: string; state: string }) => one.name === "again" && one.state === "running"));
  ok(before.length === 2);
});

Deno.test("an application that has ended is not rolled back", async () => {
  await using stage = await Stage.open();
  await stage.run("sleeper", "sleep", "1000");
  await stage.stasis("snapshot", "sleeper", "-q");
  await stage.stasis("stop", "sleeper");
  const outcome = await stage.attempt("rollback", "sleeper", "sleeper@latest", "--json");
  strictEqual(outcome.code, 10, outcome.stderr);
  match(errorOf(outcome).causes.join(), /it has ended/);
});

Deno.test("what somebody else has taken meanwhile ends the rollback, and the application runs on", async () => {
  await using stage = await Stage.open();
  const port = freePort();
  const serve = `import socket,time
s=socket.create_server(("127.0.0.1",${port})); print("ready",flush=True)
import os
while not os.path.exists("${stage.folder}/close"): time.sleep(.01)
s.close(); print("closed",flush=True); time.sleep(1000)`;
  await stage.run("server", "python3", "-c", serve);
  const log = () => stage.stasis("logs", "server");
  await until("the port", async () => (await log()).includes("ready") || undefined);
  await stage.stasis("snapshot", "server", "-q");
  await Deno.writeTextFile(`${stage.folder}/close`, "");
  await until("the port closed", async () => (await log()).includes("closed") || undefined);
  const squatter = Deno.listen({ hostname: "127.0.0.1", port });
  const [{ pid }] = JSON.parse(await stage.stasis("ps", "--json"));
  const outcome = await stage.attempt("rollback", "server", "server@latest", "--json");
  strictEqual(outcome.code, 30, outcome.stderr);
  match(errorOf(outcome).aftermath, /unharmed/);
  const [now] = JSON.parse(await stage.stasis("ps", "--json"));
  deepStrictEqual([now.pid, now.state], [pid, "running"]);
  match(await Deno.readTextFile(`/proc/${pid}/status`), /TracerPid:\t0/);
  squatter.close();
  strictEqual((await stage.attempt("rollback", "server", "server@latest")).code, 0);
});
