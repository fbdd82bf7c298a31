/** What the rules of a template change in its clones, with small programs that tell what they find. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { ask, ORACLE } from "./stage/oracle.ts";
import { freePort, Stage, until } from "./stage/stage.ts";

/** A template "oracle" of the program, which runs with some environment and arguments. */
async function prepare(
  stage: Stage,
  rules: (folder: string) => string,
  args: string[] = [],
  asked?: string,
): Promise<string> {
  const folder = `${stage.folder}/state`;
  const program = await stage.write("oracle.py", ORACLE);
  await Deno.mkdir(folder);
  await Deno.mkdir(`${folder}/moved`);
  const { uid, gid } = await Deno.stat(stage.folder);
  if (Deno.uid() === 0) await Deno.chown(folder, uid, gid);
  await Deno.writeTextFile(`${folder}/app.conf`, "port 80\nname original\n");
  stage.env["MODE"] = "original";
  await stage.run("oracle", "python3", program, folder, ...args);
  await until("the program run", async () => (await stage.logs("oracle")).includes("ready") || undefined);
  if (asked !== undefined) strictEqual(await ask(stage, "oracle", asked), "None");
  const id = await stage.stasis("snapshot", "oracle", "--stop", "-q");
  const file = await stage.write("rules.toml", rules(folder));
  await stage.stasis("template", "create", id, "--name", "oracle", "--rules", file);
  return folder;
}

Deno.test("each clone has a text, a log and a pid file of its own at the same path", async () => {
  await using stage = await Stage.open();
  const folder = await prepare(
    stage,
    (folder) => `
logs = ["${folder}/app.log"]
pid_files = ["${folder}/app.pid"]
[[text]]
file = "${folder}/app.conf"
pattern = "^port \\\\d+$"
replace = "port {n}"
[[text]]
file = "${folder}/app.conf"
find = "original"
replace = "{name}"
`,
  );
  await stage.stasis("clone", "oracle", "--count", "2");
  const pids: string[] = [];
  for (const n of [1, 2]) {
    const name = `oracle-${n}`;
    strictEqual(await ask(stage, name, `read("${folder}/app.conf")`), `port ${n}\nname ${name}`);
    await ask(stage, name, `print("told ${n}", file=out, flush=True)`);
    strictEqual(await ask(stage, name, `read("${folder}/app.log")`), `told ${n}`);
    strictEqual(
      await ask(stage, name, `read("${folder}/app.pid") == str(os.getpid()) + chr(10)`),
      "True",
    );
    pids.push((await stage.application(name)).aid);
    const kept = `${stage.env["STASIS_HOME"]}/data/apps/${pids.at(-1)}/files`;
    strictEqual([...Deno.readDirSync(kept)].length, 3);
  }
  strictEqual(await Deno.readTextFile(`${folder}/app.conf`), "port 80\nname original\n");
  strictEqual(await Deno.readTextFile(`${folder}/app.log`), "begun\n");

  // A clone's snapshot takes its files along.
  await stage.stasis("snapshot", "oracle-2", "--stop");
  await stage.stasis("rm", "oracle-2");
  await stage.stasis("restore", "oracle-2@latest", "-d");
  strictEqual(await ask(stage, "oracle-2", `read("${folder}/app.conf")`), "port 2\nname oracle-2");
  strictEqual(await Deno.readTextFile(`${folder}/app.log`), "begun\n");
});

Deno.test("a path that moved is found by what the program opens later, too", async () => {
  await using stage = await Stage.open();
  const folder = await prepare(
    stage,
    (folder) => `
[paths]
"${folder}" = "${folder}-{name}"
[hooks]
before = [["cp", "-r", "${folder}", "${folder}-{name}"]]
`,
  );
  await stage.stasis("clone", "oracle", "--name", "one");
  await ask(stage, "one", `open("${folder}/new", "w").write("mine")`);
  await ask(stage, "one", `print("told", file=out, flush=True)`);
  strictEqual(await Deno.readTextFile(`${folder}-one/new`), "mine");
  strictEqual(await Deno.readTextFile(`${folder}-one/app.log`), "begun\ntold\n");
  deepStrictEqual([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), [
    "app.conf",
    "app.log",
    "app.pid",
    "moved",
  ]);
});

Deno.test("environment and arguments are others in memory, in /proc, and for what is started later", async () => {
  await using stage = await Stage.open();
  const port = freePort();
  await prepare(
    stage,
    () => `
[environment]
MODE = "{name}-is-longer-than-before"
HOME = "/"
[arguments]
"--port=" = "--the-port-of-{name}="
`,
    [`--port=${port}`],
  );
  const made = await stage.attempt("clone", "oracle", "--name", "one");
  strictEqual(made.code, 0, made.stderr);
  const value = "one-is-longer-than-before";
  strictEqual(await ask(stage, "one", `run("sh", "-c", "echo $MODE $HOME")`), `${value} /`);
  const environ = await ask(stage, "one", `read("/proc/self/environ").split(chr(0))`);
  match(environ, new RegExp(`'MODE=${value}'`));
  match(environ, /'HOME=\/'/);
  ok(!environ.includes("'',"), environ);
  const words = await ask(stage, "one", `read("/proc/self/cmdline").split(chr(0))`);
  match(words, new RegExp(`'--the-port-of-one=${port}', ''\\]$`));
  const executed = await stage.stasis("exec", "one", "--", "sh", "-c", "echo $MODE");
  strictEqual(executed, value);
  strictEqual(await ask(stage, "one", `os.environ["MODE"]`), "original", "what it copied it keeps");
});

Deno.test("a variable that no process has is an error that says so, and nothing is left", async () => {
  await using stage = await Stage.open();
  await prepare(stage, () => `[environment]\nNOWHERE = "1"\n`);
  const { code, stderr } = await stage.attempt("clone", "oracle", "--name", "one", "--json");
  strictEqual(code, 30);
  const { error } = JSON.parse(stderr);
  ok(error.causes.join().includes('variable "NOWHERE"'), stderr);
  ok(error.causes.join().includes("has no room for one more"), stderr);
  strictEqual(await running(stage), "");
});

Deno.test("a port is another one on the host, which stasis ids tells", async () => {
  await using stage = await Stage.open();
  const port = freePort();
  const [first, second] = [freePort(), freePort()];
  await prepare(
    stage,
    () => `
[ports]
${port} = "{real}"
[variables]
real = "${first}"
`,
    [`--port=${port}`],
  );
  await stage.stasis("clone", "oracle", "--name", "one");
  await stage.stasis("clone", "oracle", "--name", "two", "--set", `real=${second} + 0`);
  const connection = await Deno.connect({ port: second });
  connection.close();
  strictEqual(await ask(stage, "two", "listener.getsockname()[1]"), String(second));
  const rows: { type: string; virtual: number; system: number }[] = JSON.parse(
    await stage.stasis("ids", "two", "--json"),
  );
  deepStrictEqual(
    rows.filter(({ type }) => type === "port").map(({ virtual, system }) => [virtual, system]),
    [[port, second]],
  );
  const taken = await stage.attempt("clone", "oracle", "--name", "three");
  strictEqual(taken.code, 30);
  match(taken.stderr, /\[ports\].*--network none, --vne/s);
});

Deno.test("output leads where the rules say, and hooks run inside", async () => {
  await using stage = await Stage.open();
  const folder = await prepare(
    stage,
    (folder) => `
stdout = "${folder}/{name}.out"
[hooks]
inside_before = [["sh", "-c", "pgrep -c python3 >/dev/shm/before; cat /proc/2/stat | cut -d' ' -f3 >>/dev/shm/before"]]
inside_after = [["sh", "-c", "cat /proc/1/comm /dev/shm/.stasis-generation >${folder}/$STASIS_CLONE_NAME.hook"]]
`,
  );
  const printed = await stage.stasis("clone", "oracle", "--name", "one");
  match(printed, /^[0-9a-f]{12}$/);
  await ask(stage, "one", `print("to the file", flush=True)`);
  strictEqual(await Deno.readTextFile(`${folder}/one.out`), "to the file\n");
  strictEqual(await Deno.readTextFile(`${folder}/one.hook`), `stasis-init\n1 ${printed}\n`);
  strictEqual(await ask(stage, "one", `read("/dev/shm/before")`), "1\nt", "it was there and stood still");
});

Deno.test("a hook inside that fails for the 3rd clone names itself and leaves nothing", async () => {
  await using stage = await Stage.open();
  await prepare(stage, () => `[hooks]\ninside_before = [["sh", "-c", "test {n} != 3 || exit 7"]]\n`);
  const { code, stderr } = await stage.attempt("clone", "oracle", "--count", "5", "--json");
  strictEqual(code, 30);
  const { error } = JSON.parse(stderr);
  match(error.message, /"oracle-3", number 3, of 5/);
  deepStrictEqual(error.causes, [
    'Could not run the hook "sh -c test 3 != 3 || exit 7" in the capsule',
    "it ended with exit code 7",
  ]);
  strictEqual(await running(stage), "");
});

/** Both ends of two connections of the program's own, told apart by the clients' ports. */
const CONNECTED = (port: number, sources: number[]) =>
  `globals().update(ends=[(socket.create_connection(("127.0.0.1", ${port}), source_address=("127.0.0.1", source)), ` +
  `listener.accept()[0]) for source in ${JSON.stringify(sources)}])`;

Deno.test({
  name: "what is left out leads to nowhere, and connections are kept or closed one by one" +
    (Deno.uid() === 0 ? "" : " (skipped: to keep connections takes CAP_NET_ADMIN)"),
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using stage = await Stage.open();
    const [port, kept, closed] = [freePort(), freePort(), freePort()];
    const folder = await prepare(
      stage,
      (folder) => `
tcp = "close"
[leave_out]
paths = ["${folder}/app.log"]
[connections]
keep = ["127.0.0.1:${kept}"]
`,
      [`--port=${port}`],
      CONNECTED(port, [kept, closed]),
    );
    await stage.stasis("clone", "oracle", "--name", "one");
    strictEqual(await ask(stage, "one", `os.readlink("/proc/self/fd/%d" % out.fileno())`), "/dev/null");
    strictEqual(await Deno.readTextFile(`${folder}/app.log`), "begun\n");
    strictEqual(await ask(stage, "one", `(ends[0][0].send(b"still"), ends[0][1].recv(9))`), "(5, b'still')");
    strictEqual(await ask(stage, "one", `(ends[1][0].recv(9), ends[1][1].recv(9))`), "(b'', b'')");
  },
});

Deno.test("a text that does not occur for the 3rd clone keeps all from being made", async () => {
  await using stage = await Stage.open();
  const folder = await prepare(
    stage,
    (folder) => `
[[text]]
file = "${folder}/app.conf"
find = "original"
replace = "{n}"
[hooks]
before = [["sh", "-c", "test {n} != 3 || echo 'port 80' >${folder}/app.conf"]]
`,
  );
  const { code, stderr } = await stage.attempt("clone", "oracle", "--count", "5", "--json");
  strictEqual(code, 1);
  const { error } = JSON.parse(stderr);
  match(error.message, /"oracle-3", number 3, of 5/);
  deepStrictEqual(error.causes, [
    `Could not change the text of "${folder}/app.conf"`,
    `"original" does not occur in "${folder}/app.conf"`,
  ]);
  strictEqual(error.aftermath, "Nothing was left behind");
  strictEqual(await running(stage), "");
});

Deno.test("an ordinary user's clones have texts and paths of their own as well", async () => {
  await using stage = await Stage.openForOrdinaryUser();
  const folder = await prepare(
    stage,
    (folder) => `
logs = ["${folder}/app.log"]
[paths]
"${folder}/moved" = "${folder}/moved-{name}"
[[text]]
file = "${folder}/app.conf"
find = "original"
replace = "{name}"
[hooks]
before = [["sh", "-c", "mkdir -p ${folder}/moved ${folder}/moved-{name}; echo {name} >${folder}/moved-{name}/who"]]
`,
  );
  await stage.stasis("clone", "oracle", "--count", "2");
  for (const name of ["oracle-1", "oracle-2"]) {
    strictEqual(await ask(stage, name, `read("${folder}/app.conf")`), `port 80\nname ${name}`);
    strictEqual(await ask(stage, name, `read("${folder}/moved/who")`), name);
    await ask(stage, name, `print("${name}", file=out, flush=True)`);
    strictEqual(await ask(stage, name, `read("${folder}/app.log")`), name);
  }
});

/** Names of what runs. */
async function running(stage: Stage): Promise<string> {
  const listed: { name: string; state: string }[] = JSON.parse(await stage.stasis("ps", "--json"));
  return listed.filter(({ state }) => state === "running").map(({ name }) => name).join();
}
