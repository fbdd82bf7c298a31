import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { stasis, WEB } from "./workbench.ts";

Deno.test("doctor ends with 12 only when something is missing that everything needs", async () => {
  const check = { name: "x", found: "no", needed: "yes", ok: false, consequence: "no y", fix: "z" };
  const missing = await stasis(["doctor"], { doctor: { checks: [{ ...check, required: true }] } });
  strictEqual(missing.exit, 12);
  match(missing.stdout, /MISSING {2}x .*\n\nWithout x: no y\n {2}to mend it: z\n$/s);
  strictEqual((await stasis(["doctor"], { doctor: { checks: [{ ...check, required: false }] } })).exit, 0);
});

Deno.test("rm does not guess between an application and a snapshot, and leaves folders alone", async () => {
  strictEqual((await stasis(["rm", "./x"])).exit, 2);
  const { engine, stderr } = await stasis(["rm", "web"], { remove: {} });
  deepStrictEqual(engine.request("remove"), { aid: WEB.aid });
  match(stderr, /Removed the application "web"/);
});

Deno.test("rm goes on after what it cannot remove", async () => {
  const { engine, exit, stderr } = await stasis(["rm", "mail", "web"], { remove: {} });
  strictEqual(exit, 10);
  deepStrictEqual(engine.request("remove"), { aid: WEB.aid });
  match(stderr, /^error\[no_target\]: Could not find "mail"[^]*Removed the application "web"/);
});

Deno.test("unknown commands and options are usage errors that suggest the right one", async () => {
  const command = await stasis(["restor"]);
  strictEqual(command.exit, 2);
  match(command.fault?.hint ?? "", /Did you mean restore\?/);
  match((await stasis(["ps", "--jsn"])).fault?.hint ?? "", /Did you mean --json\?/);
});
