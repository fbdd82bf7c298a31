/**
 * Small programs, one for each kind of state, that check themselves: each says `ready`, is put away and brought back,
 * gets SIGTERM and says `pass`, or `fail` and why.
 */

import { match, ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { must, Stage, until } from "./stage/stage.ts";

const SUBJECTS = fileURLToPath(new URL("../subjects", import.meta.url));
/** What is captured in another way when the kernel answers only the privileged. */
const ALSO_FOR_ORDINARY_USERS = ["mapped_only.c"];

const sources = [...Deno.readDirSync(SUBJECTS)].map(({ name }) => name).filter((name) => name.endsWith(".c"))
  .sort();
ok(sources.length > 0, "there are subjects");

type Way = (stage: Stage, name: string) => Promise<void>;

const restored: Way = (stage, name) => stage.roundTrip(name);

/** Brought back as a clone of a template in memory. */
const cloned: Way = async (stage, name) => {
  await stage.stasis("snapshot", name, "--stop");
  await stage.stasis("template", "create", `${name}@latest`, "--name", "subject");
  await stage.stasis("template", "load", "subject");
  await stage.stasis("rm", name);
  await stage.stasis("clone", "subject", "--name", name);
};

async function perform(stage: Stage, source: string, name: string, way = restored): Promise<void> {
  const program = `${stage.folder}/${name}`;
  await must(["cc", "-O1", "-Wall", "-pthread", "-o", program, `${SUBJECTS}/${source}`]);
  await stage.run(name, program);
  const says = (word: string) => async () => (await stage.logs(name)).match(word)?.[0];
  await until(`${name} get ready`, says("ready"));
  await way(stage, name);
  await stage.stasis("kill", "-s", "TERM", name);
  await until(`${name} judge itself`, says("pass|fail.*"));
  match(await stage.logs(name), /^pass$/m);
}

for (const source of sources) {
  const name = source.replace(/\.c$/, "").replaceAll("_", "-");
  Deno.test(`subject ${name} finds its state after a restore`, async () => {
    await using stage = await Stage.open();
    await perform(stage, source, name);
  });
  Deno.test(`subject ${name} finds its state in a clone of a template in memory`, async () => {
    await using stage = await Stage.open();
    await perform(stage, source, name, cloned);
  });
  if (!ALSO_FOR_ORDINARY_USERS.includes(source)) continue;
  Deno.test(`subject ${name} finds its state after an ordinary user's restore`, async () => {
    await using stage = await Stage.openForOrdinaryUser();
    await perform(stage, source, name);
  });
}
