/** Clones of an application that runs on, made in one step. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Stage, until } from "./stage/stage.ts";

/** Adds what it finds in FOLDER/NAME/in, by its host name, and says how much it has. */
const COUNTER = `
import os, socket, sys, time
folder, total = sys.argv[1], 0
print("ready", flush=True)
while True:
    try:
        path = f"{folder}/{socket.gethostname()}"
        number = int(open(path).read())
        os.unlink(path)
        total += number
        open(path + ".out.new", "w").write(str(total))
        os.rename(path + ".out.new", path + ".out")
    except (FileNotFoundError, ValueError):
        time.sleep(0.01)
`;

async function start(stage: Stage): Promise<void> {
  await Deno.mkdir(`${stage.folder}/mail`);
  const program = await stage.write("counter.py", COUNTER);
  const words = ["python3", program, `${stage.folder}/mail`];
  await stage.stasis("run", "-d", "--name", "counter", "--hostname", "counter", "--", ...words);
  await until("a sign of life", async () => (await stage.logs("counter")).includes("ready") || undefined);
}

async function add(stage: Stage, host: string, number: number): Promise<number> {
  const path = `${stage.folder}/mail/${host}`;
  await Deno.writeTextFile(`${path}.in`, String(number));
  await Deno.rename(`${path}.in`, path);
  const answer = await until(`an answer of ${host}`, async () => await Deno.readTextFile(`${path}.out`));
  await Deno.remove(`${path}.out`);
  return Number(answer);
}

function templatesOf(stage: Stage): string[] {
  return [...Deno.readDirSync(`${stage.env.STASIS_HOME}/data/templates`)].map(({ name }) => name).sort();
}

async function running(stage: Stage): Promise<string[]> {
  const listed: { name: string; state: string }[] = JSON.parse(await stage.stasis("ps", "--json"));
  return listed.filter((one) => one.state === "running").map((one) => one.name).sort();
}

Deno.test("branches have what the application had, each goes its own way, and nothing else is left", async () => {
  await using stage = await Stage.open();
  await start(stage);
  strictEqual(await add(stage, "counter", 5), 5);
  const lines = await stage.stasis("branch", "counter", "--count", "3", "--json");
  const clones: { name: string; aid: string }[] = lines.split("\n").map((line) => JSON.parse(line));
  deepStrictEqual(clones.map((one) => one.name), ["counter-1", "counter-2", "counter-3"]);
  strictEqual(await add(stage, "counter", 1), 6, "the source runs on");
  for (const [index, { name }] of clones.entries()) strictEqual(await add(stage, name, index), 5 + index);
  for (const { name, aid } of clones) {
    const token = await stage.stasis("exec", name, "--", "cat", "/dev/shm/.stasis-generation");
    strictEqual(token, `1 ${aid}`);
  }
  deepStrictEqual(templatesOf(stage), []);
  strictEqual(await stage.stasis("snapshots", "-q"), "");
  match(await stage.stasis("template", "ls", "--tree"), /^counter \(removed\)\n\|-- counter-1 \(/);
});

Deno.test("a branch can keep its template, from which more clones come", async () => {
  await using stage = await Stage.open();
  await start(stage);
  await add(stage, "counter", 7);
  const rules = await stage.write("rules.toml", 'hostname = "{name}.{zone}"\n[variables]\nzone = "a"\n');
  const flags = ["--rules", rules, "--set", "zone=b", "--keep", "seven"];
  await stage.stasis("branch", "counter", "--name", "one", ...flags);
  strictEqual(await add(stage, "one.b", 1), 8);
  await stage.stasis("clone", "seven", "--name", "two");
  strictEqual(await add(stage, "two.a", 2), 9);
  const [{ name, clones }] = JSON.parse(await stage.stasis("template", "ls", "--tree", "--json"));
  deepStrictEqual([name, clones.map((one: { name: string }) => one.name)], ["seven", ["one", "two"]]);
});

Deno.test("a branch that fails leaves the application running, and nothing else", async () => {
  await using stage = await Stage.open();
  await start(stage);
  const rules = await stage.write(
    "rules.toml",
    `[hooks]\nafter = [["sh", "-c", "test {n} != 2 || exit 7"]]\n`,
  );
  const failed = await stage.attempt("branch", "counter", "--count", "3", "--rules", rules, "--keep", "kept");
  strictEqual(failed.code, 1, failed.stderr);
  match(failed.stderr, /number 2, of 3/);
  deepStrictEqual(await running(stage), ["counter"]);
  deepStrictEqual(templatesOf(stage), []);
  await Deno.writeTextFile(rules, "nonsense = 1\n");
  strictEqual((await stage.attempt("branch", "counter", "--rules", rules)).code, 2);
  await stage.stasis("stop", "counter");
  strictEqual((await stage.attempt("branch", "counter")).code, 10);
});

Deno.test("a signal in the middle of a branch leaves the application running, and nothing else", async () => {
  await using stage = await Stage.open();
  await start(stage);
  const rules = await stage.write(
    "rules.toml",
    `[hooks]\nafter = [["sh", "-c", "test {n} != 2 || sleep 60"]]\n`,
  );
  const child = stage.spawn("branch", "counter", "--count", "3", "--rules", rules);
  await until("all of them", async () => (await running(stage)).length === 4 || undefined);
  child.kill("SIGTERM");
  strictEqual((await child.status).code, 130);
  deepStrictEqual(await running(stage), ["counter"]);
  deepStrictEqual(templatesOf(stage), []);
  ok(await add(stage, "counter", 3) === 3);
});
