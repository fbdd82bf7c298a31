/** What applications call their resources: tables, ownership, and the same ids twice on one host. */

import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { IdRow } from "../../ffi/messages.ts";
import { freePort, must, Stage, until } from "./stage/stage.ts";

const SUBJECTS = fileURLToPath(new URL("../subjects", import.meta.url));

/** Holds two terminals, a TCP and a UDP port. */
const HOLDER = `
import os, socket, sys
ends = [os.openpty() for _ in range(2)]
tcp = socket.create_server(("127.0.0.1", int(sys.argv[1])))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
os.read(ends[0][0], 1)
`;

async function compile(stage: Stage, name: string): Promise<string> {
  const program = `${stage.folder}/${name}`;
  await must(["cc", "-O1", "-Wall", "-pthread", "-o", program, `${SUBJECTS}/${name}.c`]);
  return program;
}

/** Looks into the log of an application. */
function says(stage: Stage, name: string, words: RegExp): () => Promise<string | undefined> {
  return async () => (await stage.logs(name)).match(words)?.[0];
}

async function ids(stage: Stage, target: string): Promise<IdRow[]> {
  return JSON.parse(await stage.stasis("ids", target, "--json"));
}

/** Starts both subjects and the holder of terminals and ports as one application. */
async function startAll(stage: Stage): Promise<number> {
  const port = freePort();
  const [own, posix] = [await compile(stage, "own_ids"), await compile(stage, "posix_memory")];
  const holder = await stage.write("holder.py", HOLDER);
  const script = `${own} & ${posix} & python3 ${holder} ${port} & wait; wait`;
  await stage.run("all", "sh", "-c", `trap : TERM; ${script}; wait`);
  await until("all three get ready", says(stage, "all", /(ready\s*){3}/));
  return port;
}

Deno.test("ids lists every class of a running application, and the same of its snapshot", async () => {
  await using stage = await Stage.open();
  const port = await startAll(stage);
  const rows = await ids(stage, "all");
  const classes = [
    "process",
    "process-group",
    "session",
    "terminal",
    "semaphores",
    "shared-memory",
    "message-queue",
    "posix-shm",
    "posix-semaphore",
    "port",
  ];
  deepStrictEqual([...new Set(rows.map((row) => row.type))], classes);
  const of = (type: string) => rows.filter((row) => row.type === type);
  deepStrictEqual(of("terminal").map((row) => row.virtual), [0, 1]);
  deepStrictEqual(of("semaphores").map((row) => row.key), ["0x0057a515"]);
  ok(of("posix-semaphore").some((row) => row.virtual === "/stasis-count"));
  deepStrictEqual(of("port").map((row) => [row.virtual, row.key]), [
    [port, "tcp 127.0.0.1"],
    [port, "udp 127.0.0.1"],
  ]);
  ok(of("process").every((row) => row.system !== row.virtual));

  await stage.stasis("snapshot", "all");
  const told = ({ system: _, ...row }: IdRow) => row;
  deepStrictEqual(await ids(stage, "all@latest"), rows.map(told));
  strictEqual((await stage.attempt("ids", "nobody")).code, 10);
});

Deno.test("two restores of one snapshot have the same ids side by side", async () => {
  await using stage = await Stage.open();
  const programs = [await compile(stage, "own_ids"), await compile(stage, "posix_memory")];
  await stage.run("first", "sh", "-c", `trap : TERM; ${programs.join(" & ")} & wait; wait; wait`);
  await until("both get ready", says(stage, "first", /(ready\s*){2}/));
  const before = (await ids(stage, "first")).map((row) => row.virtual);
  await stage.stasis("snapshot", "first");
  // Beside the original, which holds every one of the ids as well.
  for (const name of ["second", "third"]) {
    await stage.stasis("restore", "first@latest", "-d", "--name", name);
  }
  const systems: (string | number | undefined)[] = [];
  for (const name of ["first", "second", "third"]) {
    const rows = await ids(stage, name);
    deepStrictEqual(rows.map((row) => row.virtual), before);
    systems.push(rows[0]?.system);
  }
  strictEqual(new Set(systems).size, 3, "each has processes of its own");
  for (const name of ["third", "first", "second"]) {
    await stage.stasis("exec", name, "--", "sh", "-c", "kill -TERM -1");
    await until(`${name} judge itself`, says(stage, name, /(pass\s*){2}|fail.*/));
    match(await stage.logs(name), /(pass\s*){2}/);
  }
});

Deno.test("terminals keep their numbers beside others that have the same", async () => {
  await using stage = await Stage.open();
  await stage.run("first", await compile(stage, "pty"));
  await until("it get ready", says(stage, "first", /ready/));
  await stage.stasis("snapshot", "first");
  const { code, stderr } = await stage.attempt("restore", "first@latest", "-d", "--name", "second");
  strictEqual(code, 0, stderr);
  ok(!stderr.includes("/dev/pts"), stderr);
  for (const name of ["second", "first"]) {
    await stage.stasis("kill", "-s", "TERM", name);
    await until(`${name} judge itself`, says(stage, name, /pass|fail.*/));
    match(await stage.logs(name), /^pass$/m);
  }
});

Deno.test("a process belongs to the application it was started in, whatever it does", async () => {
  await using stage = await Stage.open();
  const script = [
    "(setsid sleep 1001 &)",
    "unshare --user --pid --fork sh -c 'sleep 1002; :' &",
    "exec sleep 1003",
  ].join("\n");
  await stage.run("owner", "sh", "-c", script);
  await stage.run("other", "sleep", "1004");
  const { aid } = await stage.application("owner");
  // The shells, both ends of unshare, and the sleepers.
  const processes = await until("all processes", async () => {
    const found = (await ids(stage, "owner")).filter((row) => row.type === "process");
    return found.length === 5 ? found : undefined;
  });
  for (const { system } of processes) {
    strictEqual(await stage.stasis("ps", "--pid", String(system), "--quiet"), aid);
  }
  const other = await stage.application("other");
  notStrictEqual(await stage.stasis("ps", "--pid", String(other.pid), "--quiet"), aid);
  const stranger = await stage.attempt("ps", "--pid", String(Deno.pid));
  strictEqual(stranger.code, 10);
  match(stranger.stderr, /it belongs to none/);
});
