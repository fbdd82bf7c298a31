import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { Application, TogetherRequest } from "../../ffi/messages.ts";
import { exists } from "../catalog/tree.ts";
import { listChains } from "../chains/records.ts";
import { type Answers, type Outcome, stasis, WEB } from "./workbench.ts";

const DB: Application = { ...WEB, aid: "bb0000000000", name: "db" };
const APPS = { ps: { apps: [WEB, DB] } };

/** Makes the folders that the engine would make. */
function take(request: unknown): unknown {
  const { snapshots } = request as TogetherRequest;
  for (const { out } of snapshots) Deno.mkdirSync(out);
  const one = { processes: 1, threads: 1, bytes: 1 << 20, pause_us: 26400, total_us: 310000 };
  return {
    taken: snapshots.map(({ out }, index) => ({ ...one, dir: out, notes: index === 0 ? ["so"] : [] })),
  };
}

async function inHome(
  test: (home: string, run: (args: string[], answers?: Answers) => Promise<Outcome>) => Promise<void>,
): Promise<void> {
  const home = Deno.makeTempDirSync();
  try {
    await test(home, (args, answers = {}) => stasis(args, { ...APPS, ...answers }, {}, home));
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
}

Deno.test("several applications are one request, and a chain with a record", () =>
  inHome(async (home, run) => {
    const args = ["snapshot", "web", "db", "web", "--patience", "2.5", "--tag", "t"];
    const { engine, stdout, stderr, exit } = await run(args, { snapshot_together: take });
    strictEqual(exit, 0, stderr);
    const [chain] = listChains({ data: home, run: home });
    strictEqual(stdout.trim(), chain?.id);
    deepStrictEqual(chain?.members.map(({ name, aid }) => [name, aid]), [["web", WEB.aid], ["db", DB.aid]]);
    const request = engine.request("snapshot_together") as TogetherRequest;
    strictEqual(request.patience_ms, 2500);
    deepStrictEqual(request.snapshots.map(({ target, stop, label }) => [target, stop, label.chain]), [
      [[{ aid: WEB.aid }], false, chain?.id],
      [[{ aid: DB.aid }], false, chain?.id],
    ]);
    for (const { place = "" } of request.snapshots) strictEqual(exists(place), true, "it is in the store");
    match(
      stderr,
      /^Took "web", "db": 2 applications, 2\.0 MiB, paused for 26 ms at most\n {2}note: "web": so\n$/,
    );
  }));

Deno.test("a chain that could not be taken leaves nothing", () =>
  inHome(async (home, run) => {
    const refused = StasisError.of("refused", "Could not take one snapshot");
    strictEqual((await run(["snapshot", "web", "db"], { snapshot_together: refused })).exit, 11);
    deepStrictEqual(listChains({ data: home, run: home }), []);
    deepStrictEqual([...Deno.readDirSync(`${home}/chains`)], []);
  }));

Deno.test("one application, named twice, is no chain", () =>
  inHome(async (_home, run) => {
    const taken = { dir: "/x", processes: 1, threads: 1, bytes: 1, pause_us: 1, total_us: 1, notes: [] };
    const { engine, exit } = await run(["snapshot", "web", WEB.aid], { snapshot: taken });
    strictEqual(exit, 0);
    strictEqual(engine.asked.some(({ op }) => op === "snapshot_together"), false);
  }));

Deno.test("what is of one application only is refused for several", () =>
  inHome(async (_home, run) => {
    for (const more of [["--out", "x"], ["--pid", "7"], ["--patience", "0"], ["--patience", "soon"]]) {
      strictEqual((await run(["snapshot", "web", "db", ...more])).exit, 2, more.join(" "));
    }
  }));

Deno.test("a chain comes back by its id, shows its members, and is removed as a whole", () =>
  inHome(async (home, run) => {
    const id = (await run(["snapshot", "web", "db", "-q"], { snapshot_together: take })).stdout.trim();
    const [chain] = listChains({ data: home, run: home });
    const dirs = chain?.members.map(({ snapshot }) => `${home}/snapshots/${snapshot}`) ?? [];
    const snapshots = dirs.map((dir, index) => ({
      dir,
      label: { name: ["web", "db"][index] },
      bytes: 1,
      processes: 1,
    }));
    const list = { snapshots };
    match((await run(["inspect", id.slice(0, 5)], { list })).stdout, /web[\s\S]*db/);
    match((await run(["snapshots"], { list })).stdout, new RegExp(`CHAIN[\\s\\S]*${id}`));
    const alone = await run(["rm", chain?.members[0]?.snapshot ?? ""], { list });
    strictEqual(alone.exit, 2);

    const made = (name: string) => ({ made: { aid: "cc0000000000", name, pid: 8, total_us: 900 } });
    const answers = {
      list,
      inspect: (request: unknown) => ({
        label: { name: (request as { dir: string }).dir === dirs[0] ? "web" : "db" },
      }),
      restore_together: { outcomes: [made("old-web"), made("old-db")] },
    };
    const back = await run(["restore", id, "--name", "old"], answers);
    strictEqual(back.exit, 0, back.stderr);
    const { restores } = back.engine.request("restore_together") as {
      restores: { name: string; dir: string }[];
    };
    deepStrictEqual(restores.map(({ name, dir }) => [name, dir]), [["old-web", dirs[0]], [
      "old-db",
      dirs[1],
    ]]);
    strictEqual((await run(["restore", id, "--network", "none"], answers)).exit, 2);

    strictEqual((await run(["rm", id], { list })).exit, 0);
    deepStrictEqual(listChains({ data: home, run: home }), []);
    deepStrictEqual(dirs.map(exists), [false, false]);
  }));

Deno.test("when one of several does not come back, those that did are removed again", () =>
  inHome(async (_home, run) => {
    const id = (await run(["snapshot", "web", "db", "-q"], { snapshot_together: take })).stdout.trim();
    const fault = { code: "restore_failed", exit: 30, message: "Could not restore it" };
    const outcomes = [
      { made: { aid: "cc0000000000", name: "web-2", pid: 8, total_us: 900 } },
      { failed: { fault, first: true } },
    ];
    const answers = { list: { snapshots: [] }, inspect: { label: {} }, restore_together: { outcomes } };
    const failed = await run(["restore", id], answers);
    strictEqual(failed.exit, 30);
    match(
      failed.fault?.aftermath ?? "",
      /1 application that ran already ended again; Nothing was left behind/,
    );
    deepStrictEqual(failed.engine.request("remove"), { aid: "cc0000000000" });
  }));
