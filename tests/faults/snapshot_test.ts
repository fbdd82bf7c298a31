/** Snapshots that cannot be taken: what the user is told, and that the application runs on. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { capture, type Outcome, PRODUCT, Stage, until } from "../e2e/stage/stage.ts";
import { Bystander, undisturbed } from "./bystander.ts";

const TICKER = "import time\nheap = bytearray(%d << 20)\nprint('ready', flush=True)\n" +
  "while True:\n  time.sleep(0.05)\n  print('tick', flush=True)\n";

async function ticker(stage: Stage, megabytes = 1, ...within: string[]): Promise<Bystander> {
  return await Bystander.start(stage, ...within, "python3", "-c", TICKER.replace("%d", String(megabytes)));
}

async function goesOn(subject: Bystander): Promise<void> {
  const before = subject.said().length;
  await until("another tick", () => subject.said().length > before || undefined);
}

function failsWith(outcome: Outcome, code: number, words: RegExp): void {
  strictEqual(outcome.code, code, outcome.stdout + outcome.stderr);
  match(outcome.stderr, words);
}

Deno.test("a snapshot of no process ends with 10", async () => {
  await using stage = await Stage.open();
  failsWith(await stage.attempt("snapshot", "--pid", "4194303"), 10, /no such process/);
});

Deno.test("a process that has ended and was not waited for is said to have ended", async () => {
  await using stage = await Stage.open();
  const ends = "import os, signal\npid = os.fork()\nif pid == 0: os._exit(0)\n" +
    "os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\nprint('ready', pid, flush=True)\nsignal.pause()\n";
  await using parent = await Bystander.start(stage, "python3", "-c", ends);
  const [, child = ""] = /ready (\d+)/.exec(parent.said()) ?? [];
  failsWith(await stage.attempt("snapshot", "--pid", child), 10, /has ended, and its parent/);
});

Deno.test("a tree that the command belongs to is refused with 11, and goes on", async () => {
  await using stage = await Stage.open();
  const { code, stdout, stderr } = await capture(["sh", "-c", '"$0" snapshot --pid $$; echo $?', PRODUCT], {
    env: stage.env,
    clearEnv: true,
  });
  strictEqual(`${code} ${stdout}`, "0 11\n", stderr);
  match(stderr, /this very command/);
});

Deno.test("a process that another one traces is refused with 11, and stays with its tracer", async () => {
  await using stage = await Stage.open();
  await using subject = await ticker(stage);
  const seize = "import ctypes, sys, time\nlibc = ctypes.CDLL(None)\n" +
    "assert libc.ptrace(0x4206, int(sys.argv[1]), None, None) == 0\nprint('ready', flush=True)\ntime.sleep(60)\n";
  await using tracer = await Bystander.start(stage, "python3", "-c", seize, String(subject.pid));
  const words = new RegExp(`process ${tracer.pid} is tracing it`);
  failsWith(await stage.attempt("snapshot", "--pid", String(subject.pid)), 11, words);
  strictEqual(subject.status("TracerPid"), String(tracer.pid));
  await goesOn(subject);
});

Deno.test({
  name: "another user's process may not be captured, which ends with 13",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using stage = await Stage.open();
    await using subject = await ticker(stage);
    const home = await Deno.makeTempDir();
    await Deno.chown(home, 65534, 65534);
    const user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"];
    const env = { ...stage.env, HOME: home, STASIS_HOME: `${home}/stasis`, XDG_CACHE_HOME: home };
    const product = `${home}/product`;
    await Deno.copyFile(PRODUCT, product);
    const outcome = await capture([...user, product, "snapshot", "--pid", String(subject.pid)], {
      env,
      clearEnv: true,
    });
    await stage.run("roots", "sleep", "1000");
    const looked = await capture([...user, product, "ps"], {
      env: { ...env, STASIS_HOME: stage.env["STASIS_HOME"] ?? "" },
      clearEnv: true,
    });
    await Deno.remove(home, { recursive: true });
    failsWith(outcome, 13, /Run stasis as root/);
    failsWith(looked, 13, /another user's/);
    await goesOn(subject);
  },
});

Deno.test({
  name: "a full disk fails the snapshot and leaves neither part of it nor a stopped application",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using stage = await Stage.open();
    await using subject = await ticker(stage, 40, "unshare", "--mount");
    const small = `${stage.folder}/small`;
    await Deno.mkdir(small);
    const script = 'mount -t tmpfs -o size=8m small "$1" && "$0" snapshot --pid "$2" --out "$1/image"; ' +
      'code=$?; ls -A "$1"; exit $code';
    const outcome = await capture(
      ["nsenter", "-m", "-t", String(subject.pid), "sh", "-c", script, PRODUCT, small, String(subject.pid)],
      { env: stage.env, clearEnv: true },
    );
    failsWith(outcome, 1, /No space left on device[\s\S]*runs on unharmed/);
    strictEqual(outcome.stdout, "", "the disk is empty");
    await goesOn(subject);
  },
});

Deno.test("a process that is killed in the middle of its snapshot is said to have ended", async () => {
  await using stage = await Stage.open();
  await using subject = await ticker(stage, 400);
  const outcome = stage.attempt("snapshot", "--pid", String(subject.pid), "--stop");
  await until("it be stopped", () => subject.status("TracerPid") !== "0" || undefined);
  subject.process.kill("SIGKILL");
  failsWith(await outcome, 10, /ended/);
  deepStrictEqual([...Deno.readDirSync(`${stage.env.STASIS_HOME}/data/snapshots`)], []);
});

Deno.test("Ctrl-C ends a snapshot with 130, and the application goes on", async () => {
  await using stage = await Stage.open();
  await using subject = await ticker(stage, 600);
  const command = new Deno.Command(PRODUCT, {
    args: ["snapshot", "--pid", String(subject.pid), "--stop"],
    env: stage.env,
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  await until("it be stopped", () => subject.status("TracerPid") !== "0" || undefined);
  await delay(20);
  command.kill("SIGINT");
  const { code, stderr } = await command.output();
  strictEqual(code, 130, new TextDecoder().decode(stderr));
  strictEqual(subject.status("TracerPid"), "0");
  await goesOn(subject);
  deepStrictEqual([...Deno.readDirSync(`${stage.env.STASIS_HOME}/data/snapshots`)], []);
});

Deno.test("a snapshot leaves threads undisturbed", async () => {
  await using stage = await Stage.open();
  await using subject = await Bystander.start(stage, await undisturbed(stage));
  const [maps, masks] = [subject.maps(), subject.masks()];
  for (let round = 0; round < 4; round++) await stage.stasis("snapshot", "--pid", String(subject.pid));
  deepStrictEqual([subject.maps(), subject.masks()], [maps, masks]);
  Deno.kill(subject.pid, "SIGTERM");
  strictEqual((await subject.process.status).code, 0, subject.said());
});
