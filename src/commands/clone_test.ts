import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { CloneOutcome, CloneRequest, Inspection, RestoreRequest } from "../../ffi/messages.ts";
import { type Answers, type Outcome, stasis } from "./workbench.ts";

const INSPECTED: Inspection = {
  format: 1,
  label: { id: "0123456789ab", name: "web", origin: { template: "old", generation: 2 } },
  host: {},
  own_shared_memory: true,
  own_network: false,
  shared_bytes: 0,
  unix_names: [],
  processes: [],
  sections: [],
  bytes: 1,
};

/** A home with a template "t", whose clones are restored by an engine of the test's. */
class Nursery implements Disposable {
  readonly base = Deno.makeTempDirSync();
  /** What the engine was asked to restore, and what to forget. */
  readonly restored: RestoreRequest[] = [];
  readonly removed: string[] = [];
  failing: string | undefined;

  readonly answers: Answers = {
    inspect: INSPECTED,
    ids: { rows: [] },
    ps: { apps: [] },
    clone: ({ restores, keep_going }: CloneRequest) => {
      const failed = restores.findIndex(({ name }) => name === this.failing);
      const begun = failed < 0 || keep_going ? restores.length : failed + 1;
      return { outcomes: restores.map((one, index) => index < begun ? this.#bringUp(one) : "left") };
    },
    remove: ({ aid }: { aid: string }) => void this.removed.push(aid),
  };

  static async open(rules = ""): Promise<Nursery> {
    const nursery = new Nursery();
    Deno.mkdirSync(`${nursery.base}/image`);
    Deno.writeTextFileSync(`${nursery.base}/rules.toml`, rules);
    const args = ["--name", "t", "--rules", `${nursery.base}/rules.toml`];
    const { exit, fault } = await nursery.stasis("template", "create", `${nursery.base}/image`, ...args);
    strictEqual(exit, 0, fault?.causes?.join());
    return nursery;
  }

  #bringUp(request: RestoreRequest): CloneOutcome {
    const { name } = request;
    if (name === this.failing) {
      const details = { causes: ["no memory"] };
      return { failed: StasisError.of("restore_failed", "Could not restore", details).fault };
    }
    this.restored.push(request);
    return { made: { aid: `aa000000000${this.restored.length}`, name: name ?? "", pid: 7, total_us: 900 } };
  }

  stasis(...args: string[]): Promise<Outcome> {
    return stasis(args, this.answers, { cwd: this.base }, `${this.base}/data`);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.base, { recursive: true });
  }
}

Deno.test("a template knows where it comes from", async () => {
  using nursery = await Nursery.open();
  const [only] = JSON.parse((await nursery.stasis("template", "ls", "--json")).stdout);
  deepStrictEqual(
    [only.name, only.application, only.snapshot, only.generation, only.parent, only.rules],
    ["t", "web", "0123456789ab", 3, "old", true],
  );
  const shown = JSON.parse((await nursery.stasis("template", "show", "t", "--json")).stdout);
  deepStrictEqual(shown.resources.map((one: { kind: string }) => one.kind), ["hostname"]);
  strictEqual((await nursery.stasis("template", "rm", "t")).exit, 0);
  strictEqual((await nursery.stasis("template", "show", "t")).exit, 10);
});

Deno.test("clones are told one by one, each with a name, a host name and an origin", async () => {
  using nursery = await Nursery.open('hostname = "{name}.test"\ntcp = "close"');
  const { stdout, stderr, engine } = await nursery.stasis("clone", "t", "--count", "2");
  strictEqual(stdout, "aa0000000001\naa0000000002\n");
  match(stderr, /"t-1" runs with pid 7, made in 900 us \(1 of 2\)\n"t-2"/);
  const [first] = nursery.restored;
  deepStrictEqual({ ...first, dir: "", home: undefined }, {
    home: undefined,
    dir: "",
    name: "t-1",
    hostname: "t-1.test",
    files: {},
    tcp: "close",
    origin: { template: "t", generation: 3 },
    checked: false,
    detach: true,
    terminal: false,
  });
  strictEqual(engine.asked.filter(({ op }) => op === "clone").length, 1);
});

Deno.test("clones are asked for on the network that is named, else on none in particular", async () => {
  using nursery = await Nursery.open();
  await nursery.stasis("clone", "t");
  await nursery.stasis("clone", "t", "--network", "none");
  await nursery.stasis("clone", "t", "--network", "host");
  const networks = nursery.restored.map((request) => request.network);
  deepStrictEqual(networks, [undefined, { own: {} }, "host"]);
  strictEqual((await nursery.stasis("clone", "t", "--network", "other")).exit, 2);
});

Deno.test("when a clone cannot be made, all of them are removed again", async () => {
  using nursery = await Nursery.open();
  nursery.failing = "p-3";
  const { exit, fault } = await nursery.stasis("clone", "t", "--count", "5", "--name", "p");
  strictEqual(exit, 30);
  deepStrictEqual(nursery.removed.sort(), ["aa0000000001", "aa0000000002"]);
  deepStrictEqual(fault?.causes, ["Could not restore", "no memory"]);
  match(fault?.message ?? "", /"p-3", number 3, of 5$/);
  strictEqual(fault?.aftermath, "2 clones were removed again; Nothing was left behind");
});

Deno.test("with --keep-going a failure costs one clone, and the exit code tells", async () => {
  using nursery = await Nursery.open();
  nursery.failing = "p-2";
  const args = ["clone", "t", "--count", "3", "--name", "p", "--keep-going"];
  const { exit, stdout, stderr } = await nursery.stasis(...args);
  strictEqual(exit, 30);
  strictEqual(stdout.trimEnd().split("\n").length, 2);
  deepStrictEqual(nursery.removed, []);
  match(stderr, /error\[restore_failed\]: Could not make the clone "p-2"/);
});

Deno.test("hooks know their clone, and one that fails undoes it", async () => {
  using nursery = await Nursery.open(`
signal = "HUP"
[hooks]
before = [["sh", "-c", "echo $STASIS_CLONE_NAME $STASIS_CLONE_NUMBER $STASIS_CLONE_AID >>{dir}/log"]]
after = [["sh", "-c", "echo $STASIS_CLONE_AID >>{dir}/log; test $STASIS_CLONE_NUMBER != 2 || exit 3"]]
[variables]
dir = "/nowhere"
`);
  const { exit, fault, engine } = await nursery.stasis(
    "clone",
    "t",
    "--count",
    "2",
    "--set",
    `dir=${nursery.base}`,
  );
  strictEqual(Deno.readTextFileSync(`${nursery.base}/log`), "t-1 1\nt-2 2\naa0000000001\naa0000000002\n");
  strictEqual(exit, 1);
  strictEqual(fault?.causes?.at(-1), "it ended with exit code 3");
  deepStrictEqual(nursery.removed.sort(), ["aa0000000001", "aa0000000002"]);
  const signals = engine.asked.filter(({ op }) => op === "signal").map(({ request }) => request);
  deepStrictEqual(signals[0], { aid: "aa0000000001", signal: 1 });
});

Deno.test("hooks inside go to the engine, before with the restore and after as commands of their own", async () => {
  using nursery = await Nursery.open(`
[hooks]
inside_before = [["prepare", "{name}"]]
inside_after = [["greet", "{n}"]]
`);
  nursery.answers.exec = ({ argv }: { argv: string[] }) => ({ code: argv[1] === "2" ? 4 : 0, pid: 9 });
  const { exit, fault, engine } = await nursery.stasis("clone", "t", "--count", "2");
  const [first] = nursery.restored;
  deepStrictEqual(first?.edits?.before?.commands, [["prepare", "t-1"]]);
  strictEqual(first?.edits?.before?.environment["STASIS_CLONE_NAME"], "t-1");
  const asked = engine.asked.filter(({ op }) => op === "exec").map(({ request }) => request);
  deepStrictEqual(asked.map((one) => (one as { argv: string[]; quiet: boolean }).argv), [["greet", "1"], [
    "greet",
    "2",
  ]]);
  strictEqual(exit, 1);
  deepStrictEqual(fault?.causes, [
    'Could not run the hook "greet 2" in the capsule',
    "it ended with exit code 4",
  ]);
  deepStrictEqual(nursery.removed.toSorted().reverse(), ["aa0000000002", "aa0000000001"]);
});

Deno.test("rules are checked without doing anything", async () => {
  using nursery = await Nursery.open();
  const rules = `${nursery.base}/other.toml`;
  Deno.writeTextFileSync(rules, '[paths]\n"/srv/a" = "/b"\n');
  const alone = await nursery.stasis("template", "check", "--rules", rules);
  match(alone.stdout, /name +template\nhostname +template\ntcp +keep\npath +\/srv\/a -> \/b\n/);
  const against = await nursery.stasis("template", "check", "t", "--rules", rules);
  strictEqual(against.exit, 2);
  match(against.fault?.causes?.[0] ?? "", /other\.toml:2:1: no process has "\/srv\/a"/);
  strictEqual((await nursery.stasis("template", "check")).exit, 2);
  strictEqual((await nursery.stasis("template", "check", "--rules", "/nowhere/x")).exit, 10);
  ok(nursery.restored.length === 0);
});

Deno.test("counts and templates that are none are refused", async () => {
  using nursery = await Nursery.open();
  for (const count of ["0", "x", "1.5", "100000"]) {
    strictEqual((await nursery.stasis("clone", "t", "--count", count)).exit, 2, count);
  }
  strictEqual((await nursery.stasis("clone", "nothing")).exit, 10);
});
