/**
 * The core and the preloaded library alone, without a capsule: what programs are told of their System V objects is what
 * the kernel alone tells them, and a table survives whoever is killed. Needs root, for IPC namespaces.
 */

import { deepStrictEqual, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { run } from "../../scripts/build/command.ts";
import { CORE, NATIVE, PRELOAD } from "../../scripts/build/layout.ts";
import { buildInterposition } from "../../scripts/build/native.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const TABLE_TOOL = `${NATIVE}/target/debug/examples/table`;
const ROUNDS = 40;
const isRoot = Deno.uid() === 0;

interface Folder {
  path: string;
  library: string;
  table: string;
}

/** A capsule's private folder: the core, the library, a new table. */
async function withFolder(work: (folder: Folder) => Promise<void>): Promise<void> {
  await buildInterposition();
  await run("cargo", ["build", "--quiet", "--locked", "--package", "ids", "--example", "table"], {
    cwd: NATIVE,
  });
  const path = await Deno.makeTempDir({ prefix: "stasis-ids-" });
  try {
    const folder = { path, library: `${path}/libstasis-ids.so`, table: `${path}/ids` };
    await Deno.chmod(path, 0o755); // programs under other users map its files too
    await Deno.copyFile(CORE, `${path}/core`);
    await Deno.copyFile(PRELOAD, folder.library);
    await run(TABLE_TOOL, ["format", folder.table]);
    await Deno.chmod(folder.table, 0o666);
    await work(folder);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

async function compile(folder: Folder, name: string): Promise<string> {
  const program = `${folder.path}/${name}`;
  await run("cc", ["-O1", "-Wall", "-o", program, `${HERE}${name}.c`]);
  return program;
}

async function show(folder: Folder): Promise<string[]> {
  return (await run(TABLE_TOOL, ["show", folder.table])).trim().split("\n");
}

Deno.test({
  name: "a program is told of its own objects what the kernel tells",
  ignore: !isRoot,
  fn: () =>
    withFolder(async (folder) => {
      const program = await compile(folder, "calls");
      const native = await run("unshare", ["--ipc", program]);
      const env = { LD_PRELOAD: folder.library };
      const ours = await run("unshare", ["--ipc", program], { env });
      ok(native.includes("msgrcv of a queue that goes"));
      deepStrictEqual(ours, native);
      const rows = (await show(folder)).filter((line) => !line.endsWith(" Removed"));
      deepStrictEqual(rows, ["owner 0"]);
    }),
});

Deno.test({
  name: "processes killed at any moment leave no object and no lock behind",
  ignore: !isRoot,
  fn: () =>
    withFolder(async (folder) => {
      const program = await compile(folder, "churn");
      const script = `
        export LD_PRELOAD=${folder.library}
        for round in $(seq ${ROUNDS}); do
          ${program} & a=$!
          ${program} & b=$!
          sleep 0.0$((round % 7 + 1))
          kill -9 $a $b
          wait $a $b
        done 2>/dev/null
        ${program} once
        unset LD_PRELOAD
        grep -hc . /proc/sysvipc/sem /proc/sysvipc/msg /proc/sysvipc/shm`;
      const said = await run("unshare", ["--ipc", "bash", "-c", script]);
      deepStrictEqual(said.trim().split("\n"), ["pass", "1", "1", "1"], "one line is the heading");
      const left = (await show(folder)).filter((line) =>
        !line.startsWith("undo ") && !line.endsWith(" Removed")
      );
      deepStrictEqual(left, ["owner 0"]);
    }),
});

Deno.test({
  name: "a thread that is sent into the core goes on with the call's result",
  ignore: !isRoot,
  fn: () =>
    withFolder(async (folder) => {
      const program = await compile(folder, "enter");
      deepStrictEqual(
        await run("unshare", ["--ipc", program], { env: { LD_PRELOAD: folder.library } }),
        "pass\n",
      );
    }),
});

Deno.test({
  name: "without a table and a filter a program gets no object at all",
  ignore: !isRoot,
  fn: () =>
    withFolder(async (folder) => {
      const program = await compile(folder, "calls");
      await Deno.remove(folder.table);
      const said = await run("unshare", ["--ipc", program], { env: { LD_PRELOAD: folder.library } }).catch(
        String,
      );
      ok(said.includes("ENOSYS"), said);
      ok(!/semget create +1/.test(said), said);
    }),
});
