import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Application } from "../../ffi/messages.ts";
import { stasis, WEB } from "./workbench.ts";

const RESTORED = { aid: WEB.aid, name: "web", pid: 9, total_us: 1500 };

Deno.test("a rollback restores in the place of the application that was named", async () => {
  using folder = { path: Deno.makeTempDirSync(), [Symbol.dispose]: () => Deno.removeSync(folder.path) };
  const answers = { restore: RESTORED };
  const { engine, exit, stdout } = await stasis(["rollback", "web", folder.path], answers);
  strictEqual(exit, 0);
  strictEqual(stdout, `${WEB.aid}\n`);
  deepStrictEqual(engine.request("restore"), {
    dir: folder.path,
    detach: true,
    terminal: false,
    tcp: "close",
    replace: { aid: WEB.aid, foreign: false },
  });
});

Deno.test("an application that has ended is not rolled back", async () => {
  const ended: Application = { ...WEB, state: "exited", code: 3 };
  const { engine, exit, fault } = await stasis(["rollback", "web", "./x"], { ps: { apps: [ended] } });
  strictEqual(exit, 10);
  match(fault?.causes?.join() ?? "", /it has ended: exit code 3/);
  strictEqual(engine.request("restore"), undefined);
});

Deno.test("a rollback needs one thing to go back to", async () => {
  for (const words of [[], ["./x", "--template", "t"]]) {
    const { exit, fault } = await stasis(["rollback", "web", ...words]);
    deepStrictEqual([exit, fault?.message], [2, "Could not tell what to go back to"]);
  }
});
