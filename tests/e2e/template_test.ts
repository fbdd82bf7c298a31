/** Templates, and clones of a program that has its state in memory and in a file. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Stage, until } from "./stage/stage.ts";

/** Adds what it is told to a number, and answers with that and with who it believes to be. */
const COUNTER = `
import os, random, socket, sys, time
seed, total = random.random(), 0
ballast = os.urandom(1 << 20)
out = open(sys.argv[1] + "/total.txt", "w+")
print("ready", flush=True)
while True:
    try:
        with open("/dev/shm/add") as file: told = file.read()
        os.unlink("/dev/shm/add")
    except OSError:
        time.sleep(0.01)
        continue
    total += int(told)
    print(total, file=out, flush=True)
    with open("/dev/shm/.stasis-generation") as file: generation = file.read().strip()
    with open("/dev/shm/answer.new", "w") as file:
        print(total, os.getpid(), socket.gethostname(), seed, generation, sep="|", file=file)
    os.rename("/dev/shm/answer.new", "/dev/shm/answer")
`;

/** A template "counter" of the program; with rules, each clone has a folder of its own. */
async function prepare(stage: Stage, rules?: string): Promise<string[]> {
  const program = await stage.write("counter.py", COUNTER);
  const folder = `${stage.folder}/state`;
  await Deno.mkdir(folder);
  await stage.run("counter", "python3", program, folder);
  await until("the program run", async () => (await stage.logs("counter")).includes("ready") || undefined);
  const id = await stage.stasis("snapshot", "counter", "--stop", "-q");
  const words = rules === undefined ? [] : ["--rules", await stage.write("rules.toml", rules)];
  await stage.stasis("template", "create", id, "--name", "counter", ...words);
  return [id, folder];
}

async function add(stage: Stage, name: string, number: number): Promise<string[]> {
  const script = `rm -f /dev/shm/answer; echo ${number} >/dev/shm/new; mv /dev/shm/new /dev/shm/add
    while ! cat /dev/shm/answer 2>/dev/null; do sleep 0.01; done`;
  return (await stage.stasis("exec", name, "--", "timeout", "20", "sh", "-c", script)).trim().split("|");
}

interface Told {
  aid: string;
  name: string;
  hostname: string;
}

function told(lines: string): Told[] {
  return lines.split("\n").map((line) => JSON.parse(line));
}

Deno.test("five clones are applications of their own, with the same ids and memory, and see nothing of each other", async () => {
  await using stage = await Stage.open();
  const rules = `
hostname = "{name}.test"
[paths]
"${stage.folder}/state" = "${stage.folder}/states/{name}"
[hooks]
before = [["cp", "-r", "${stage.folder}/state", "${stage.folder}/states/{name}"]]
`;
  await Deno.mkdir(`${stage.folder}/states`);
  const [id = ""] = await prepare(stage, rules);
  await stage.stasis("rm", id);
  const clones = told(await stage.stasis("clone", "counter", "--count", "5", "--json"));
  deepStrictEqual(clones.map((one) => one.name), [1, 2, 3, 4, 5].map((n) => `counter-${n}`));
  strictEqual(new Set(clones.map((one) => one.aid)).size, 5);

  const answers = new Map<string, string[]>();
  for (const { name } of clones) await add(stage, name, 1);
  for (const [index, { name }] of clones.entries()) answers.set(name, await add(stage, name, index * 10));
  for (const [index, { name, aid, hostname }] of clones.entries()) {
    const [total, , host, , generation] = answers.get(name) ?? [];
    deepStrictEqual([total, host, generation], [String(1 + index * 10), `${name}.test`, `1 ${aid}`]);
    strictEqual(hostname, `${name}.test`);
    const written = await Deno.readTextFile(`${stage.folder}/states/${name}/total.txt`);
    strictEqual(written, `1\n${1 + index * 10}\n`);
    const environment = await stage.stasis("exec", name, "--", "sh", "-c", "echo $STASIS_GENERATION");
    strictEqual(environment, `1 ${aid}`);
  }
  const pidsAndSeeds = new Set([...answers.values()].map((answer) => `${answer[1]} ${answer[3]}`));
  strictEqual(pidsAndSeeds.size, 1, "pid and memory are those of the snapshot in all of them");
  strictEqual(
    await Deno.readTextFile(`${stage.folder}/state/total.txt`),
    "",
    "the template's file is untouched",
  );
});

Deno.test("a clone can be a template itself, and its clones keep what it had", async () => {
  await using stage = await Stage.open();
  await prepare(stage);
  await stage.stasis("clone", "counter", "--name", "first");
  await add(stage, "first", 4);
  const id = await stage.stasis("snapshot", "first", "-q");
  await stage.stasis("template", "create", id, "--name", "grown");
  const [grown] = JSON.parse(await stage.stasis("template", "ls", "--json"))
    .filter((one: { name: string }) => one.name === "grown");
  deepStrictEqual([grown.generation, grown.parent, grown.application], [2, "counter", "first"]);
  const [clone] = told(await stage.stasis("clone", "grown", "--json"));
  const [total, , host, , generation] = await add(stage, "grown", 1);
  deepStrictEqual([total, host, generation], ["5", "grown", `2 ${clone?.aid}`]);
});

Deno.test("when the third clone fails, none is left; with --keep-going the others are", async () => {
  await using stage = await Stage.open();
  await prepare(stage, `[hooks]\nafter = [["sh", "-c", "test {n} != 3 || exit 7"]]\n`);
  const failed = await stage.attempt("clone", "counter", "--count", "5", "--json");
  strictEqual(failed.code, 1);
  const { error } = JSON.parse(failed.stderr);
  match(error.message, /"counter-3", number 3, of 5/);
  deepStrictEqual(error.causes.at(-1), "it ended with exit code 7");
  const left = () => stage.stasis("ps", "-q").then((text) => text.split("\n").filter((aid) => aid !== ""));
  strictEqual((await left()).length, 1, "only the one that the snapshot was taken of is listed");

  const going = await stage.attempt("clone", "counter", "--count", "5", "--keep-going", "-q");
  strictEqual(going.code, 1);
  strictEqual(going.stdout.trim().split("\n").length, 4);
  strictEqual((await left()).length, 5);
});

Deno.test("a signal removes the clones that were made", async () => {
  await using stage = await Stage.open();
  await prepare(stage, `[hooks]\nafter = [["sh", "-c", "test {n} != 2 || exec sleep 60"]]\n`);
  const child = stage.spawn("clone", "counter", "--count", "3", "-q");
  const running = async () => {
    const listed: { name: string; state: string }[] = JSON.parse(await stage.stasis("ps", "--json"));
    return listed.filter((one) => one.state === "running").map((one) => one.name);
  };
  await until("the clones run", async () => (await running()).length === 3 || undefined);
  child.kill("SIGTERM");
  strictEqual((await child.status).code, 130);
  deepStrictEqual(await running(), []);
});

Deno.test("rules that are wrong are told with line and column, and nothing is made", async () => {
  await using stage = await Stage.open();
  const [id = ""] = await prepare(stage);
  const rules = await stage.write("bad.toml", 'hostname = "{zone}"\n\n[paths]\n  "/nowhere" = "/b"\n');
  const bad = await stage.attempt("template", "create", id, "--name", "bad", "--rules", rules);
  strictEqual(bad.code, 2);
  ok(bad.stderr.includes(`${rules}:1:1: "hostname" uses {zone}`), bad.stderr);
  await Deno.writeTextFile(rules, '\n[paths]\n  "/nowhere" = "/b"\n');
  const useless = await stage.attempt("template", "check", "counter", "--rules", rules);
  strictEqual(useless.code, 2);
  ok(useless.stderr.includes(`${rules}:3:3: no process has "/nowhere"`), useless.stderr);
  strictEqual(await stage.stasis("template", "ls", "-q"), "counter");
  strictEqual((await stage.attempt("template", "show", "bad")).code, 10);
});

Deno.test("a template says of every resource what a clone gets", async () => {
  await using stage = await Stage.open();
  await prepare(stage);
  const { resources } = JSON.parse(await stage.stasis("template", "show", "counter", "--json"));
  const treatment = (kind: string, end: string): string | undefined =>
    resources.find((one: { kind: string; name: string }) => one.kind === kind && one.name.endsWith(end))
      ?.treatment;
  strictEqual(treatment("library", "libc.so.6"), "share");
  strictEqual(treatment("memory", "(python3)"), "copy-on-write");
  strictEqual(treatment("process", "2"), "virtualise");
  strictEqual(treatment("open file", "/total.txt"), "customise");
  strictEqual(resources.at(-1).kind, "hostname");
});
