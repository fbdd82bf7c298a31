/** Templates and snapshots in one file: out of one home, into another, as on another host. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { capture, must, Stage, until } from "./stage/stage.ts";

async function prepare(stage: Stage): Promise<string> {
  const program =
    "import time\nn = 41\nprint('ready', flush=True)\nwhile True:\n time.sleep(0.02); n += 1; print(n, flush=True)";
  await stage.run("counter", "python3", "-c", program);
  await until("a number", async () => (await stage.logs("counter")).includes("42") || undefined);
  return await stage.stasis("snapshot", "counter", "--stop", "-q");
}

async function counts(stage: Stage, name: string): Promise<number> {
  return await until(
    "a number",
    async () => Number((await stage.logs(name)).split("\n").at(-1)) || undefined,
  );
}

Deno.test("a template goes to another host in one file, with rules and all", async () => {
  await using here = await Stage.open();
  await using there = await Stage.open();
  const id = await prepare(here);
  const rules = await here.write("rules.toml", 'name = "there-{n}"\n');
  await here.stasis("template", "create", id, "--name", "counter", "--rules", rules);
  const file = `${here.folder}/counter.tar`;
  await here.stasis("template", "export", "counter", file);
  strictEqual((await here.attempt("template", "export", "counter", file)).code, 2, "a file is not replaced");
  const listed = await must(["tar", "-tf", file]);
  match(listed, /^stasis\.json\nrules\.toml\nimage\/\nimage\/manifest\nimage\/packs\/\n/);
  strictEqual(await there.stasis("template", "import", file), "counter");
  strictEqual(await there.stasis("template", "import", file, "--name", "other"), "other");
  strictEqual((await there.attempt("template", "import", file)).code, 2, "the name is taken");
  const [card] = JSON.parse(await there.stasis("template", "ls", "--json"));
  deepStrictEqual([card.name, card.application, card.snapshot, card.rules], ["counter", "counter", id, true]);
  await there.stasis("clone", "other");
  ok(await counts(there, "there-1") > 42);
});

Deno.test("a snapshot goes through a pipe into another store", async () => {
  await using here = await Stage.open();
  await using there = await Stage.open();
  const id = await prepare(here);
  const [product = ""] = here.product;
  const pipe = `STASIS_HOME=${here.env.STASIS_HOME} ${product} export counter@latest - | gzip | gunzip |
    STASIS_HOME=${there.env.STASIS_HOME} ${product} import -`;
  strictEqual(await must(["sh", "-ec", pipe]), id);
  await there.stasis("verify", id);
  await there.stasis("restore", "counter@latest", "-d");
  ok(await counts(there, "counter") > 42);
  const again = await here.attempt("export", id, `${here.folder}/s.tar`);
  strictEqual(again.code, 0, again.stderr);
  const second = await there.stasis("import", `${here.folder}/s.tar`);
  ok(second !== id, "what is in the store is not replaced");
});

Deno.test("an archive that is damaged or of the other kind leaves nothing behind", async () => {
  await using here = await Stage.open();
  await using there = await Stage.open();
  const id = await prepare(here);
  await here.stasis("template", "create", id, "--name", "counter");
  const file = `${here.folder}/counter.tar`;
  await here.stasis("template", "export", "counter", file);
  const { size } = await Deno.stat(file);
  await must(["sh", "-c", `head -c ${size >> 1} ${file} > ${file}.cut; cp ${file} ${file}.bad`]);
  await must([
    "dd",
    `of=${file}.bad`,
    "conv=notrunc",
    "if=/dev/urandom",
    "bs=1",
    "count=8",
    `seek=${size >> 1}`,
  ]);
  for (const bad of [`${file}.cut`, `${file}.bad`, "/etc/passwd"]) {
    const outcome = await there.attempt("template", "import", bad);
    strictEqual(outcome.code, 20, outcome.stderr);
    match(outcome.stderr, /Nothing was left behind/);
  }
  strictEqual((await there.attempt("import", file)).code, 2);
  strictEqual((await there.attempt("template", "import", `${file}.none`)).code, 10);
  const left = await capture(["find", `${there.env.STASIS_HOME}/data`, "-type", "f"]);
  strictEqual(left.stdout, "");
});

Deno.test("volumes travel along, with what an archive does not hold", async () => {
  await using here = await Stage.open();
  await using there = await Stage.open();
  const folder = `${here.folder}/data`;
  await must([
    "sh",
    "-ec",
    `mkdir -p "$1/inner"; echo kept > "$1/inner/file"; ln "$1/inner/file" "$1/again"; mkfifo "$1/pipe"
    ln -s inner/file "$1/link"; chmod 640 "$1/again"; touch -d "2020-01-02 03:04:05.678901234" "$1/again"`,
    "-",
    folder,
  ]);
  await here.stasis("run", "-d", "--name", "holder", "--volume", folder, "--", "sleep", "1000");
  await here.stasis("snapshot", "holder", "--stop");
  await here.stasis("template", "create", "holder@latest", "--name", "holder");
  const file = `${here.folder}/holder.tar`;
  await here.stasis("template", "export", "holder", file);
  await there.stasis("template", "import", file);
  await there.stasis("clone", "holder");
  const script = `cd "$1"; cat inner/file again link; stat -c "%a %y %h" again; test -p pipe && echo pipe`;
  const found = await there.stasis("exec", "holder", "--", "sh", "-ec", script, "-", folder);
  match(found, /^kept\nkept\nkept\n640 2020-01-02 03:04:05\.678901234 \S+ 2\npipe$/);
  await here.stasis("export", "holder@latest", `${here.folder}/s.tar`);
  strictEqual((await there.stasis("import", `${here.folder}/s.tar`)).length, 12);
});
