/** The C library's random numbers in clones, where its functions are interposed. */

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { ask, ORACLE } from "./stage/oracle.ts";
import { Stage, until } from "./stage/stage.ts";

/** The next numbers of every generator that glibc keeps for a program. */
const DRAW = "[libc.rand(), libc.random(), libc.lrand48(), libc.mrand48(), drand48()]";

/** What glibc's rand(3) gives first to a program that has not seeded it. */
const UNSEEDED = "1804289383";

Deno.test("three clones draw different numbers, and an untouched restore goes on where the snapshot was", async () => {
  await using stage = await Stage.open();
  const program = await stage.write("oracle.py", ORACLE);
  const interposed = ["--ids", "translate", "--interpose", "library"];
  await stage.stasis("run", "-d", ...interposed, "--name", "oracle", "--", "python3", program, stage.folder);
  await until("the program run", async () => (await stage.logs("oracle")).includes("ready") || undefined);
  const prepared = `globals().update(ctypes=__import__("ctypes")) or globals().update(libc=ctypes.CDLL(None))
    or globals().update(drand48=libc.drand48) or setattr(drand48, "restype", ctypes.c_double)
    or libc.srand(7) and None or libc.srand48(7) and None`;
  await ask(stage, "oracle", prepared.replaceAll("\n", " "));
  await ask(stage, "oracle", DRAW);
  const id = await stage.stasis("snapshot", "oracle", "-q");
  const next = await ask(stage, "oracle", DRAW);

  await stage.stasis("restore", id, "-d", "--name", "same");
  strictEqual(await ask(stage, "same", DRAW), next);

  await stage.stasis("template", "create", id, "--name", "template");
  await stage.stasis("clone", "template", "--count", "3");
  const numbers = [JSON.parse(next)];
  for (const n of [1, 2, 3]) numbers.push(JSON.parse(await ask(stage, `template-${n}`, DRAW)));
  for (let generator = 0; generator < 5; generator++) {
    const drawn = numbers.map((all) => all[generator]);
    strictEqual(new Set(drawn).size, 4, `${generator}: ${drawn}`);
  }

  // What a program seeds itself, and what begins in a clone, is as ever.
  const seeded = "[libc.srand(7), libc.rand(), libc.random()][1:]";
  const expected = await ask(stage, "oracle", seeded);
  await stage.stasis("clone", "template", "--name", "fresh");
  strictEqual(await ask(stage, "fresh", seeded), expected);
  const child = `run("python3", "-c", "import ctypes; print(ctypes.CDLL(None).rand())")`;
  deepStrictEqual([await ask(stage, "oracle", child), await ask(stage, "fresh", child)], [
    UNSEEDED,
    UNSEEDED,
  ]);
});
