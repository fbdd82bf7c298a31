/** Running applications that go back to a snapshot, in place. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { freePort, must, Stage, until } from "./stage/stage.ts";

const PROGRAM = fileURLToPath(new URL("programs/one_of_a_kind.c", import.meta.url));

Deno.test("redis goes back to what it held, under its AID and on its port", async () => {
  await using stage = await Stage.open();
  const port = String(freePort());
  const redis = (...args: string[]) => must(["redis-cli", "-p", port, ...args]);
  await stage.run("redis", "redis-server", "--port", port, "--save", "", "--dir", stage.folder);
  await until("redis answer", async () => (await redis("ping")) === "PONG" || undefined);
  const { aid } = await stage.application("redis");
  await redis("set", "key", "old");
  const id = await stage.stasis("snapshot", "redis", "-q");
  await redis("mset", "key", "new", "other", "1");
  strictEqual(await stage.stasis("rollback", "redis", id), aid);
  strictEqual(await redis("get", "key"), "old");
  strictEqual(await redis("exists", "other"), "0");
  strictEqual((await stage.application("redis")).aid, aid);
  // It is an application like any other: it can be taken again, and go back again, from either.
  await redis("set", "key", "newer");
  await stage.stasis("snapshot", "redis", "-q");
  await stage.stasis("rollback", "redis", id);
  strictEqual(await redis("get", "key"), "old");
  await stage.stasis("rollback", aid, "redis@latest");
  strictEqual(await redis("get", "key"), "newer");
  await stage.stasis("stop", "redis");
  strictEqual((await stage.application("redis")).state, "exited");
});

Deno.test("an application goes back to what a template of it holds, in memory or not", async () => {
  await using stage = await Stage.open();
  const port = String(freePort());
  const redis = (...args: string[]) => must(["redis-cli", "-p", port, ...args]);
  await stage.run("redis", "redis-server", "--port", port, "--save", "", "--dir", stage.folder);
  await until("redis answer", async () => (await redis("ping")) === "PONG" || undefined);
  await redis("set", "key", "old");
  await stage.stasis("snapshot", "redis", "-q");
  await stage.stasis("template", "create", "redis@latest", "--name", "warm");
  for (let round = 0; round < 2; round++) {
    await redis("set", "key", "new");
    await stage.stasis("rollback", "redis", "--template", "warm");
    strictEqual(await redis("get", "key"), "old");
    if (round === 0) await stage.stasis("template", "load", "warm");
  }
  await stage.stasis("template", "unload", "warm");
  strictEqual(await redis("set", "key", "newer"), "OK", "what it has is its own");
  strictEqual((await stage.attempt("rollback", "redis")).code, 2);
  strictEqual((await stage.attempt("rollback", "redis", "redis@latest", "--template", "warm")).code, 2);
});

Deno.test("those who wait for an application, follow its log or sit at it go along with it", async () => {
  await using stage = await Stage.open();
  const program = await stage.write(
    "steps.py",
    `import os, sys, time
print("begun", flush=True)
step = 0
while not os.path.exists("${stage.folder}/end"):
    time.sleep(0.01)
    if os.path.exists("${stage.folder}/step"):
        os.unlink("${stage.folder}/step")
        step += 1
        print("step", step, flush=True)
print("ended at", step, flush=True)
sys.exit(40 + step)
`,
  );
  const step = async (name: string, number: number) => {
    await Deno.writeTextFile(`${stage.folder}/step`, "");
    await until(`step ${number}`, async () => (await output(name)).includes(`step ${number}\n`) || undefined);
  };
  const foreground = `${stage.folder}/foreground`;
  const output = async (name: string) =>
    name === "front" ? await Deno.readTextFile(foreground) : `${await stage.logs(name)}\n`;
  const [product = ""] = stage.product;
  for (const name of ["back", "front"]) {
    const words = `${product} run ${name === "back" ? "-d" : ""} --name ${name} -- python3 ${program}`;
    const run = new Deno.Command("sh", {
      args: ["-c", name === "back" ? words : `{ ${words}; echo "run: $?"; } | cat > ${foreground}`],
      env: stage.env,
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    if (name === "back") strictEqual((await run.status).code, 0);
    await until("a beginning", async () => (await output(name)).includes("begun") || undefined);
    const waiting = stage.attempt("wait", name);
    const following = stage.attempt("logs", "-f", name);
    await step(name, 1);
    await stage.stasis("snapshot", name, "-q");
    await step(name, 2);
    await stage.stasis("rollback", name, `${name}@latest`);
    const twice = async () => (await output(name)).split("step 2\n").length === 3 || undefined;
    await Deno.writeTextFile(`${stage.folder}/step`, "");
    await until("the second step once more", twice);
    await stage.stasis("rollback", name, `${name}@latest`);
    await Deno.writeTextFile(`${stage.folder}/end`, "");
    strictEqual((await waiting).stdout.trim(), "41");
    if (name === "front") {
      await run.status;
      match(await output(name), /step 2\nended at 1\nrun: 41\n$/);
    } else match((await following).stdout, /begun\nstep 1\nstep 2\nstep 2\nended at 1\n$/);
    await following;
    await Deno.remove(`${stage.folder}/end`);
  }
});

Deno.test("what only one can have is there throughout: ports, names of sockets, locks", async () => {
  await using stage = await Stage.open();
  const program = `${stage.folder}/one_of_a_kind`;
  await must(["cc", "-O1", "-Wall", "-o", program, PROGRAM]);
  const port = String(freePort());
  await stage.run("one", program, stage.folder, port);
  await until("a sign of life", async () => (await stage.logs("one")).includes("ready") || undefined);
  const ways: Record<string, string> = {
    tcp: `TCP:127.0.0.1:${port}`,
    path: `UNIX-CONNECT:${stage.folder}/socket`,
    abstract: `ABSTRACT-CONNECT:stasis-one-of-a-kind-${port}`,
    udp: `UDP:127.0.0.1:${port}`,
  };
  const ask = (way: string, line = "next") => must(["python3", "-c", ASK, ways[way] ?? "", line]);
  for (const [index, way] of Object.keys(ways).entries()) strictEqual(await ask(way), String(index + 1));
  await stage.stasis("snapshot", "one", "-q");
  for (let round = 0; round < 2; round++) {
    for (const [index, way] of Object.keys(ways).entries()) strictEqual(await ask(way), String(index + 5));
    const outcome = await stage.attempt("rollback", "one", "one@latest");
    strictEqual(outcome.code, 0, outcome.stderr);
    ok(!outcome.stderr.includes("note:"), outcome.stderr);
    strictEqual(await ask("tcp", "check"), "pass", await stage.logs("one"));
  }
  for (const [index, way] of Object.keys(ways).entries()) strictEqual(await ask(way), String(index + 5));
});

/** Connects as socat would, sends a line and prints the answer. */
const ASK = `
import socket, sys
kind, _, rest = sys.argv[1].partition(":")
if kind in ("TCP", "UDP"):
    host, _, port = rest.rpartition(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM)
    s.connect((host, int(port)))
else:
    s = socket.socket(socket.AF_UNIX)
    s.connect(("\\0" if kind.startswith("ABSTRACT") else "") + rest)
s.settimeout(20)
s.send(sys.argv[2].encode() + b"\\n")
print(s.recv(100).decode().strip())
`;

Deno.test("an application with translated ids goes back with all of them", async () => {
  await using stage = await Stage.open();
  const program = await stage.write(
    "ids.py",
    `import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
id = libc.shmget(4711, 4096, 0o1600)
at = libc.shmat(id, None, 0)
word = ctypes.c_int.from_address(at)
print("ready", flush=True)
while True:
    time.sleep(0.02)
    if os.path.exists("${stage.folder}/go"):
        os.unlink("${stage.folder}/go")
        word.value += 1
        print(word.value, libc.shmget(4711, 0, 0) == id, flush=True)
`,
  );
  const words = ["--ids", "translate", "--", "python3", program];
  await stage.stasis("run", "-d", "--name", "ids", ...words);
  const says = async (text: string) => {
    await Deno.writeTextFile(`${stage.folder}/go`, "");
    await until(text, async () => (await stage.logs("ids")).endsWith(text) || undefined);
  };
  await until("ready", async () => (await stage.logs("ids")).includes("ready") || undefined);
  await says("1 True");
  await stage.stasis("snapshot", "ids", "-q");
  await says("2 True");
  await says("3 True");
  await stage.stasis("rollback", "ids", "ids@latest");
  await says("2 True");
  const rows: { backend: string; key?: string }[] = JSON.parse(await stage.stasis("ids", "ids", "--json"));
  const translated = rows.filter((one) => one.backend === "translate");
  deepStrictEqual(translated.map((one) => Number(one.key)), [4711]);
});
