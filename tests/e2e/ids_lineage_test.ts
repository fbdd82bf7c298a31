/** Processes of one application, whichever way they come about, share its ids and know whose they are. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { type Mode, MODES, tellsApplication } from "./ids/modes.ts";
import { ID_SUBJECTS, IpcHost } from "./stage/ipc_host.ts";
import { must, until } from "./stage/stage.ts";

/** Setuid programs load no library, so a mode that has only that does not see them (docs/limits.md). */
function ways(mode: Mode): string[] {
  return ["daemon", "exec", "first", ...(mode.serves.includes("kernel") ? ["setuid"] : []), "vfork"];
}

/** Builds the program, and a copy that runs as its owner, where that is seen. Returns the command. */
async function build(folder: string, mode: Mode): Promise<string[]> {
  const [program, copy] = [`${folder}/lineage`, `${folder}/lineage-setuid`];
  await must(["cc", "-O1", "-Wall", "-o", program, `${ID_SUBJECTS}/lineage.c`]);
  await Deno.copyFile(program, copy);
  await Deno.chmod(copy, 0o4755);
  return mode.serves.includes("kernel") ? [program, copy] : [program];
}

/** The pids of its processes, as this host calls them. */
async function processes(folder: string): Promise<number[]> {
  const found = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const words = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
    if (words.startsWith(`${folder}/lineage`) || words.startsWith("/proc/self/exe\0vfork")) {
      found.push(Number(name));
    }
  }
  return found.sort((a, b) => a - b);
}

for (const mode of MODES) {
  Deno.test(`children, daemons and setuid programs share ids (${mode.name})`, async () => {
    await using host = await IpcHost.open();
    const { stage } = host;
    const command = await build(stage.folder, mode);
    await stage.stasis("run", "-d", "--name", "lineage", ...mode.options, "--", ...command);
    const speaks = (words: RegExp) =>
      until("it speak", async () => words.exec(await stage.logs("lineage"))?.[0]);
    strictEqual(await speaks(/^ready$|^fail.*/m), "ready");
    const found = [...(await stage.logs("lineage")).matchAll(/^found (\w+) (\d+)$/gm)];
    deepStrictEqual(found.map(([, way]) => way).sort(), ways(mode));
    strictEqual(new Set(found.map(([, , id]) => id)).size, 1, `all find one id: ${found.map(String).join()}`);
    await stage.roundTrip("lineage");
    await stage.stasis("kill", "-s", "TERM", "lineage");
    strictEqual(await speaks(/^pass$|^fail.*/m), "pass");
  });

  Deno.test({
    name: `stasis ps tells the application of each process (${mode.name})` +
      (tellsApplication ? "" : ": this build has no ps --pid"),
    ignore: !tellsApplication,
    async fn() {
      await using host = await IpcHost.open();
      const { stage } = host;
      const command = await build(stage.folder, mode);
      await stage.stasis("run", "-d", "--name", "lineage", ...mode.options, "--", ...command);
      await until("it speak", async () => (await stage.logs("lineage")).includes("ready") || undefined);
      const { aid } = await stage.application("lineage");
      const pids = await processes(stage.folder);
      strictEqual(pids.length, ways(mode).length);
      for (const pid of pids) {
        match(await stage.stasis("ps", "--pid", String(pid), "--json"), new RegExp(aid));
      }
      strictEqual((await stage.attempt("ps", "--pid", String(Deno.pid))).code, 10);
    },
  });
}
