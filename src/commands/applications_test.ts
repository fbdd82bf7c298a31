import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { stasis, WEB } from "./workbench.ts";

Deno.test("ps prints a table, ids with --quiet, and an array with --json", async () => {
  match(
    (await stasis(["ps"])).stdout,
    /^NAME +AID.*\nweb +aa0000000000 +running .*nginx -g 'daemon off;'\n$/,
  );
  strictEqual((await stasis(["ps", "-q"])).stdout, "aa0000000000\n");
  deepStrictEqual(JSON.parse((await stasis(["ps", "--json"])).stdout), [WEB]);
  deepStrictEqual(JSON.parse((await stasis(["--json", "ps"])).stdout), [WEB]);
});

Deno.test("ps --pid prints only the application of that process", async () => {
  const other = { ...WEB, aid: "bb0000000000", name: "other" };
  const answers = { ps: { apps: [WEB, other] }, owner: { aid: other.aid } };
  const { engine, stdout } = await stasis(["ps", "--pid", "7", "-q"], answers);
  strictEqual(stdout, "bb0000000000\n");
  deepStrictEqual(engine.request("owner"), { pid: 7 });
  const none = StasisError.of("no_target", "Could not find the application of process 7");
  strictEqual((await stasis(["ps", "--pid", "7"], { owner: none })).exit, 10);
  strictEqual((await stasis(["ps", "--pid", "x"])).exit, 2);
});

Deno.test("an application that is not there ends with 10", async () => {
  for (const verb of ["logs", "stop", "kill", "wait", "snapshot", "rm"]) {
    strictEqual((await stasis([verb, "mail"])).exit, 10, verb);
  }
});

Deno.test("kill sends SIGKILL unless told otherwise", async () => {
  deepStrictEqual((await stasis(["kill", "web"], { signal: {} })).engine.request("signal"), {
    aid: WEB.aid,
    signal: 9,
  });
  for (const name of ["HUP", "SIGHUP", "hup", "1"]) {
    const { engine } = await stasis(["kill", "web", "-s", name], { signal: {} });
    deepStrictEqual(engine.request("signal"), { aid: WEB.aid, signal: 1 });
  }
  strictEqual((await stasis(["kill", "web", "-s", "NOPE"])).exit, 2);
});

Deno.test("stop waits for the time that it is given", async () => {
  const answers = { stop: { signal: 9, killed: true } };
  const { engine, stderr } = await stasis(["stop", "web", "-t", "1.5"], answers);
  deepStrictEqual(engine.request("stop"), { aid: WEB.aid, timeout_ms: 1500 });
  match(stderr, /Ended "web": SIGKILL, after its time was up/);
  strictEqual((await stasis(["stop", "web", "-t", "soon"], answers)).exit, 2);
});

Deno.test("wait prints the exit code", async () => {
  strictEqual((await stasis(["wait", "web"], { wait: { code: 4 } })).stdout, "4\n");
  strictEqual((await stasis(["wait", "web"], { wait: { signal: 9 } })).stdout, "137\n");
});

Deno.test("exec passes the command's options through and ends with its exit code", async () => {
  const { engine, exit } = await stasis(["exec", "web", "--", "ls", "-l"], { exec: { pid: 9, code: 2 } });
  strictEqual(exit, 2);
  deepStrictEqual((engine.request("exec") as { argv: string[] }).argv, ["ls", "-l"]);
  const bare = await stasis(["exec", "web", "ls", "-l"], { exec: { pid: 9, code: 0 } });
  deepStrictEqual((bare.engine.request("exec") as { argv: string[] }).argv, ["ls", "-l"]);
});
