import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { stasis, WEB } from "./workbench.ts";

const STARTED = { aid: "bb0000000000", name: "sleep", pid: 7 };

Deno.test("run -d passes the whole request on and prints the AID", async () => {
  const args = [
    "run",
    "-d",
    "--hostname",
    "h",
    "-e",
    "A=1",
    "-e",
    "B=x=y",
    "--network",
    "none",
    "--",
    "/bin/sleep",
    "-d",
    "9",
  ];
  const { engine, stdout, stderr } = await stasis(args, { run: STARTED });
  deepStrictEqual(engine.request("run"), {
    name: "sleep",
    argv: ["/bin/sleep", "-d", "9"],
    env: { PATH: "/bin", A: "1", B: "x=y" },
    cwd: "/here",
    detach: true,
    terminal: false,
    hostname: "h",
    ids: "auto",
    interpose: "auto",
    network: { own: {} },
  });
  strictEqual(stdout, "bb0000000000\n");
  match(stderr, /Running "sleep" with pid 7/);
});

Deno.test("run takes the command's options for the command's own, with and without --", async () => {
  for (const args of [["run", "-d", "web", "--name", "x"], ["run", "-d", "--", "web", "--name", "x"]]) {
    const { engine } = await stasis(args, { run: STARTED });
    const { argv, name } = engine.request("run") as { argv: string[]; name: string };
    deepStrictEqual(argv, ["web", "--name", "x"]);
    strictEqual(name, "web-2");
  }
});

Deno.test("an attached run ends with the application's exit code, or 128 and its signal", async () => {
  strictEqual((await stasis(["run", "--", "a"], { run: STARTED, attach: { code: 3 } })).exit, 3);
  const { exit, engine } = await stasis(["run", "a"], { run: STARTED, attach: { signal: 15 } }, {
    terminal: true,
  });
  strictEqual(exit, 143);
  strictEqual((engine.request("run") as { terminal: boolean }).terminal, true);
  deepStrictEqual(engine.request("attach"), { aid: STARTED.aid });
});

Deno.test("run refuses names and assignments that cannot be", async () => {
  strictEqual((await stasis(["run", "--name", "A B", "--", "x"])).exit, 2);
  strictEqual((await stasis(["run", "-e", "=x", "--", "x"])).exit, 2);
  strictEqual((await stasis(["run"])).exit, 2);
});

Deno.test("a name that another application took first is chosen again", async () => {
  const applications = [WEB];
  const take = ({ name }: { name: string }) => {
    if (name === "fresh-2") return { ...STARTED, name };
    applications.push({ ...WEB, name });
    return StasisError.of("usage", `Could not run under the name "${name}"`);
  };
  const { exit, stderr } = await stasis(["run", "-d", "--", "fresh"], {
    ps: { apps: applications },
    run: take,
  });
  strictEqual(exit, 0);
  match(stderr, /Running "fresh-2"/);
});

Deno.test("a run that failed for another reason is not repeated", async () => {
  const { engine, fault } = await stasis(["run", "--", "fresh"], {
    run: StasisError.of("other", "Could not run"),
  });
  strictEqual(engine.asked.filter(({ op }) => op === "run").length, 1);
  strictEqual(fault?.message, "Could not run");
});
