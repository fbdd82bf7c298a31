/** What must hold of the one executable wherever it is started. Some of it needs root, to be another user. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { OneFile } from "./one_file.ts";

const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
const VERSION = /^stasis \d+\.\d+\.\d+ /;
const needsRoot = { ignore: Deno.uid() !== 0 };

Deno.test("the file alone in an empty folder starts with nothing but a home", async () => {
  await using file = await OneFile.copy();
  for (const _start of ["first", "second"]) {
    const ended = await file.start(["--version"], { HOME: file.home });
    match(ended.stdout, VERSION);
    strictEqual(ended.code, 0, ended.stderr);
  }
  deepStrictEqual([...Deno.readDirSync(`${file.folder}/alone`)].map((entry) => entry.name), ["stasis"]);
});

Deno.test("eight first starts at once all work and unpack once", async () => {
  await using file = await OneFile.copy();
  const starts = Array.from({ length: 8 }, () => file.start(["--version"], { HOME: file.home }));
  for (const ended of await Promise.all(starts)) {
    match(ended.stdout, VERSION);
    strictEqual(ended.stderr, "");
  }
  deepStrictEqual(file.cached(), ["lock", "program", "runtime"]);
});

Deno.test("arguments and the exit code pass through", async () => {
  await using file = await OneFile.copy();
  const ended = await file.start(["--json", "nosuch", "--", "--version"], { HOME: file.home });
  strictEqual(ended.code, 2);
  match(ended.stdout + ended.stderr, /nosuch/);
});

Deno.test("it stays the process that was started", async () => {
  await using file = await OneFile.copy();
  const child = new Deno.Command(file.product, {
    args: ["run", "--", "sleep", "60"],
    env: { HOME: file.home, STASIS_HOME: `${file.folder}/state` },
    stdin: "null",
    stdout: "null",
  }).spawn();
  const runtime = () =>
    Deno.readLinkSync(`/proc/${child.pid}/exe`).startsWith(`${file.home}/.cache/stasis/runtime-`);
  while (!runtime()) await delay(10);
  child.kill("SIGTERM");
  strictEqual((await child.status).success, false);
});

Deno.test("variables that would steer the runtime do not, and reach the application", async () => {
  await using file = await OneFile.copy();
  const steering = { NODE_OPTIONS: "--require /nosuch", DENO_V8_FLAGS: "--nosuch", DENO_DIR: "/nosuch" };
  const env = { HOME: file.home, STASIS_HOME: `${file.folder}/state`, ...steering };
  const ended = await file.start(["run", "--", "env"], env);
  strictEqual(ended.code, 0, ended.stderr);
  const lines = ended.stdout.split("\n");
  for (const [name, value] of Object.entries(env)) {
    strictEqual(lines.includes(`${name}=${value}`), true, name);
  }
  strictEqual(lines.some((line) => /^STASIS_(SELF|LIBRARY|BASE|ASIDE)=/.test(line)), false, ended.stdout);
});

Deno.test("without a home it runs from memory (root, to be another user)", needsRoot, async () => {
  await using file = await OneFile.copy();
  const ended = await file.start(["--version"], { STASIS_HOME: "/tmp/none" }, AS_NOBODY);
  match(ended.stdout, VERSION);
  strictEqual(ended.code, 0, ended.stderr);
});

Deno.test(
  "with a home of somebody else it runs from memory (root, to be another user)",
  needsRoot,
  async () => {
    await using file = await OneFile.copy();
    const ended = await file.start(["--version"], { HOME: file.home }, AS_NOBODY);
    match(ended.stdout, VERSION);
    deepStrictEqual(file.cached(), []);
  },
);

Deno.test("in a cache without execution it runs from memory (root, to mount)", needsRoot, async () => {
  await using file = await OneFile.copy();
  const mount = `mount -t tmpfs -o noexec,mode=700 none "$HOME" && exec "$0" "$@"`;
  const ended = await file.start(["doctor"], { HOME: file.home }, ["unshare", "--mount", "sh", "-c", mount]);
  strictEqual(ended.code, 0, ended.stderr);
});

Deno.test(
  "an application of a start from memory inherits none of its memory files (root)",
  needsRoot,
  async () => {
    await using file = await OneFile.copy();
    const mount = `mount -t tmpfs -o noexec,mode=700 none "$HOME" && exec "$0" "$@"`;
    const env = { HOME: file.home, STASIS_HOME: `${file.folder}/state` };
    const list = ["run", "--", "sh", "-c", "exec ls -l /proc/self/fd"];
    const ended = await file.start(list, env, ["unshare", "--mount", "sh", "-c", mount]);
    strictEqual(ended.code, 0, ended.stderr);
    strictEqual(/memfd/.test(ended.stdout), false, ended.stdout);
  },
);

Deno.test("a file that was cut off says so and ends with 70", async () => {
  await using file = await OneFile.copy();
  const { size } = await Deno.stat(file.product);
  await Deno.truncate(file.product, size - 100_000);
  const ended = await file.start(["--version"], { HOME: file.home });
  strictEqual(ended.code, 70);
  match(ended.stderr, /^error\[internal\]: Could not start stasis\n {2}cause: .*\n {2}hint: {2}/);
});
