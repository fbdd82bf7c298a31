/** Processes that die inside calls which bear ids, helpers that are killed, restores that fail: what is left then. */

import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import type { IdRow } from "../../ffi/messages.ts";
import { type Mode, MODES, tellsIds } from "../e2e/ids/modes.ts";
import { Holder, type Program, programsFor } from "../e2e/ids/programs.ts";
import { ID_SUBJECTS, IpcHost, KINDS, TYPES } from "../e2e/stage/ipc_host.ts";
import { must, until } from "../e2e/stage/stage.ts";

/** Twelve times at each of the 13 steps. */
const AIMED = 156;
const KILLS = 60;

/** The first program that a mode serves. */
function programFor(mode: Mode): Program {
  const [program] = programsFor(mode);
  ok(program !== undefined);
  return program;
}

/** Pids of an application's helper and of its first process, as this host calls them. */
async function pidsOf(host: IpcHost, name: string): Promise<{ helper: number; first: number }> {
  const { pid } = await host.stage.application(name);
  ok(pid !== undefined);
  const parent = /^PPid:\s*(\d+)$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))?.[1];
  return { helper: Number(parent), first: pid };
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  return text.trim().split(" ").filter((word) => word !== "").map(Number);
}

/** Kills processes of the application one by one, at moments that nobody chose. Returns how many. */
async function killSome(first: number): Promise<number> {
  let killed = 0;
  for (let round = 0; round < KILLS; round++) {
    await delay(5 * ((round * 0.618034) % 1));
    const children = await childrenOf(first);
    const victim = children[round % Math.max(children.length, 1)];
    if (victim === undefined) continue;
    try {
      Deno.kill(victim, "SIGKILL");
      killed++;
    } catch {
      // Its maker was faster.
    }
  }
  return killed;
}

/** What the application says that it has, as lines like the host's. */
async function ownLines(host: IpcHost): Promise<string[]> {
  const log = await host.stage.logs("churn");
  return [...log.matchAll(/^own (.*)$/gm)].map(([, object]) => `is ${object}`).sort();
}

/** Compares the table with what the application sees, and with what the host has. */
async function tablesAgree(host: IpcHost, mode: Mode, before: readonly string[]): Promise<void> {
  const seen = await ownLines(host);
  const system = (await host.objects()).filter((line) => !before.includes(line));
  strictEqual(system.length, mode.onHost ? seen.length : 0, "the host has what the application sees");
  if (!tellsIds) return;
  const listed: IdRow[] = JSON.parse(await host.stage.stasis("ids", "churn", "--json"));
  const rows = KINDS.flatMap((kind) =>
    listed.filter(({ type }) => type === TYPES[kind]).map((row) => ({ kind, ...row }))
  );
  const told = rows.map(({ kind, virtual, key }) => `is ${kind} ${virtual} ${Number(key ?? 0) | 0}`);
  deepStrictEqual(told.sort(), seen);
  if (!mode.onHost) return;
  const ids = system.map((line) => line.split(" ").slice(0, 3).join(" "));
  deepStrictEqual(rows.map((row) => `is ${row.kind} ${row.system}`).sort(), ids.sort());
}

for (const mode of MODES.filter(({ primary }) => primary)) {
  for (const flags of mode.serves.map((calls) => calls === "library" ? [] : ["-DRAW"])) {
    const how = flags.length === 0 ? "libc" : "raw";
    Deno.test(`processes killed inside ${how} calls leave tables in order (${mode.name})`, async () => {
      await using host = await IpcHost.open();
      const { stage } = host;
      const program = `${stage.folder}/churn`;
      await must(["cc", "-O1", "-Wall", ...flags, "-o", program, `${ID_SUBJECTS}/churn.c`]);
      const before = await host.objects();
      await stage.stasis("run", "-d", "--name", "churn", ...mode.options, "--", program, String(AIMED));
      const says = (words: RegExp) =>
        until(`it say ${words}`, async () => words.exec(await stage.logs("churn"))?.[0], 60);
      strictEqual(await says(/^aimed$|^fail.*/m), "aimed");
      ok(await killSome((await pidsOf(host, "churn")).first) > KILLS / 2);
      await stage.stasis("kill", "-s", "TERM", "churn");
      strictEqual(await says(/^quiet$|^fail.*/m), "quiet");
      await tablesAgree(host, mode, before);
      await stage.stasis("snapshot", "churn", "--stop");
      await host.comesBackTo(before);
      await stage.stasis("restore", "churn@latest", "-d");
      await stage.stasis("kill", "-s", "TERM", "churn");
      strictEqual(await says(/^pass$|^fail.*/m), "pass");
      await host.comesBackTo(before);
    });
  }

  Deno.test(`nothing is left when a capsule's helper is killed (${mode.name})`, async () => {
    await using host = await IpcHost.open();
    await Holder.start(host, mode, programFor(mode));
    const { helper, first } = await pidsOf(host, "holder");
    const [strangers, all] = [await host.strangers(), await host.objects()];
    strictEqual(all.length > strangers.length, mode.onHost);
    Deno.kill(helper, "SIGKILL");
    await until("its processes end", async () => {
      const there = await Deno.stat(`/proc/${first}`).then(() => true, () => false);
      return !there || undefined;
    });
    await host.comesBackTo(strangers);
    notStrictEqual((await host.stage.application("holder")).state, "running");
  });

  Deno.test(`a restore that fails leaves no object (${mode.name})`, async () => {
    await using host = await IpcHost.open();
    const { stage } = host;
    const holder = await Holder.start(host, mode, programFor(mode));
    const image = `${stage.folder}/image`;
    await stage.stasis("snapshot", "holder", "--stop", "--out", image);
    const before = await host.objects();
    deepStrictEqual(before, await host.strangers());

    const missing = await stage.attempt("restore", image, "-d", "--file", "/dev/null=/nowhere/at/all");
    strictEqual(missing.code, 30, missing.stderr);
    match(missing.stderr, /Nothing was left behind/);
    await host.comesBackTo(before);

    const manifest = await Deno.readFile(`${image}/manifest`);
    const altered = manifest.slice();
    altered[altered.length >> 1] = (altered[altered.length >> 1] ?? 0) ^ 1;
    await Deno.writeFile(`${image}/manifest`, altered);
    strictEqual((await stage.attempt("restore", image, "-d")).code, 20);
    await host.comesBackTo(before);
    await Deno.writeFile(`${image}/manifest`, manifest);

    await stage.stasis("restore", image, "-d", "--name", "whole");
    const during = await host.objects();
    notStrictEqual((await stage.attempt("restore", image, "-d", "--name", "whole")).code, 0);
    await host.comesBackTo(during);
    strictEqual(await holder.verdict("whole"), "pass");
    await host.comesBackTo(before);
  });
}
