/** Restores that cannot be finished: what the user is told, and that nothing of them is left. */

// Runs alone: it looks for blank processes of a restore among all processes of the host.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { must, PRODUCT, Stage, until } from "../e2e/stage/stage.ts";
import { Bystander } from "./bystander.ts";
import { Moments } from "./moments.ts";

const COUNTER = "import sys, time\nheap = bytearray(%d << 20)\nn = 0\nprint('ready', flush=True)\n" +
  "while True:\n  time.sleep(0.05)\n  n += 1\n  open(sys.argv[1], 'w').write(str(n))\n";

interface Saved {
  image: string;
  count: string;
  program: string;
}

/** A tree that was captured and ended, and the file that it counted in. */
async function saved(stage: Stage, { stop = true, megabytes = 1 } = {}): Promise<Saved & { pid: number }> {
  const count = `${stage.folder}/count`;
  const program = await stage.write("counter.py", COUNTER.replace("%d", String(megabytes)));
  const subject = await Bystander.start(stage, "python3", program, count);
  const image = `${stage.folder}/image`;
  await stage.stasis("snapshot", "--pid", String(subject.pid), "--out", image, ...(stop ? ["--stop"] : []));
  if (stop) await subject.process.status;
  return { image, count, program, pid: subject.pid };
}

/** Processes whose command line or memory names the folder, capsules, and files of the state folder. */
function remains(stage: Stage): string[] {
  const found: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    try {
      const line = Deno.readTextFileSync(`/proc/${name}/cmdline`);
      const executable = Deno.readLinkSync(`/proc/${name}/exe`);
      if (line.includes(stage.folder) || executable.includes("stasis-blank")) found.push(`${name} ${line}`);
    } catch {
      // It has ended meanwhile.
    }
  }
  for (const part of ["data/apps", "run"]) {
    try {
      for (const { name } of Deno.readDirSync(`${stage.env.STASIS_HOME}/${part}`)) {
        if (!name.startsWith(".")) found.push(`${part}/${name}`);
      }
    } catch {
      // There never was such a folder.
    }
  }
  return found;
}

async function failsClean(stage: Stage, image: string, code: number, words: RegExp): Promise<void> {
  const outcome = await stage.attempt("restore", image, "-d");
  strictEqual(outcome.code, code, outcome.stdout + outcome.stderr);
  match(outcome.stderr, words);
  deepStrictEqual(remains(stage), []);
}

Deno.test("a snapshot that was altered or cut short ends with 20, and nothing is created", async () => {
  await using stage = await Stage.open();
  const { image } = await saved(stage);
  const pack = [...Deno.readDirSync(`${image}/packs`)].map(({ name }) => `${image}/packs/${name}`)[0] ?? "";
  for (const path of [pack, `${image}/manifest`]) {
    const whole = await Deno.readFile(path);
    const altered = whole.slice();
    altered[whole.length >> 1] = (altered[whole.length >> 1] ?? 0) ^ 1;
    for (const wrong of [altered, whole.slice(0, whole.length - 100), whole.slice(0, 10)]) {
      await Deno.writeFile(path, wrong);
      await failsClean(stage, image, 20, /damaged/);
    }
    await Deno.writeFile(path, whole);
  }
  await stage.stasis("verify", image);
});

Deno.test("a file that is missing ends with 30, and nothing is left", async () => {
  await using stage = await Stage.open();
  const { image } = await saved(stage);
  const outcome = await stage.attempt("restore", image, "-d", "--file", "/dev/null=/nowhere/at/all");
  strictEqual(outcome.code, 30, outcome.stderr);
  match(outcome.stderr, /Nothing was left behind/);
  deepStrictEqual(remains(stage), []);
});

Deno.test("a restore whose command is killed at any moment leaves no process", async () => {
  await using stage = await Stage.open();
  const { image, pid, count } = await saved(stage, { megabytes: 30 });
  const moments = await Moments.of(() => stage.stasis("restore", image, "-d"), 0, 0.8);
  const running = () => Deno.readTextFileSync(count);
  const before = running();
  await until("it count on", () => running() !== before || undefined);
  Deno.kill(pid, "SIGKILL");
  await until("its end", () => remains(stage).length === 0 || undefined);
  for (let round = 0; round < 30; round++) {
    const killed = await moments.kill(stage.spawn("restore", image, "-d", "--name", "halfway"));
    const apps = JSON.parse(await stage.stasis("ps", "--json"));
    const listed: { aid: string; state: string }[] = Array.isArray(apps) ? apps : apps.apps;
    const whole = listed.filter(({ state }) => state === "running");
    // Killed after its last step, the restore is complete; before, there is nothing.
    ok(!killed || whole.length <= 1);
    for (const { aid } of whole) await stage.stasis("kill", aid);
    const processes = () => remains(stage).filter((line) => /^\d/.test(line));
    await until("no process", () => processes().length === 0 || undefined);
  }
});

Deno.test("a tree whose ids are taken comes back in a capsule of its own", async () => {
  await using stage = await Stage.open();
  const { image, count, pid } = await saved(stage, { stop: false });
  const outcome = await stage.attempt("restore", image, "-d");
  strictEqual(outcome.code, 0, outcome.stderr);
  Deno.kill(pid, "SIGKILL");
  const before = await until("a count", () => Deno.readTextFileSync(count) || undefined);
  await until("it count on", () => ![before, ""].includes(Deno.readTextFileSync(count)) || undefined);
  const apps = await stage.stasis("ps", "--json");
  match(apps, /"name": ?"python3/);
});

const SLEEPERS = "import threading, time\nprint('ready', flush=True)\n" +
  "for _ in range(3): threading.Thread(target=time.sleep, args=(600,)).start()\n";

Deno.test({
  name: "a restore that fails when a process has its threads already ends with 30, and nothing is left",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using stage = await Stage.openForOrdinaryUser();
    // Groups that an ordinary user cannot give to a process.
    const user = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=54321", "--", "/usr/bin/python3"];
    await using subject = await Bystander.start(stage, ...user, "-c", SLEEPERS);
    await until("its threads", () => subject.status("Threads") === "4" || undefined);
    const image = `${stage.folder}/image`;
    const env = { ...stage.env, STASIS_HOME: `${stage.folder}/home-of-root` };
    const arguments_ = ["snapshot", "--pid", String(subject.pid), "--out", image, "--stop"];
    await must([PRODUCT, ...arguments_], { env, clearEnv: true });
    await must(["chown", "-R", "65534:65534", image, subject.output]);
    await failsClean(stage, image, 30, /group/);
  },
});
