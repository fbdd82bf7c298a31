import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { IdRow, Listed } from "../../ffi/messages.ts";
import { stasis, WEB } from "./workbench.ts";

const ROWS: IdRow[] = [
  { type: "process", virtual: 2, system: 4711, owner: "web", state: "live", backend: "namespace" },
  { type: "semaphores", virtual: 3, system: 3, key: "0x0000002a", state: "removed", backend: "namespace" },
];
const ANSWERS = { ids: { rows: ROWS } };

Deno.test("ids asks for an application and prints its table", async () => {
  const { engine, stdout } = await stasis(["ids", "web"], ANSWERS);
  deepStrictEqual(engine.request("ids"), { aid: WEB.aid });
  match(
    stdout,
    /^TYPE +VIRTUAL +SYSTEM +KEY .*\nprocess +2 +4711 +web +live +namespace\nsemaphores +3 +3 +0x/m,
  );
});

Deno.test("ids prints rows as JSON, and virtual ids alone with --quiet", async () => {
  deepStrictEqual(JSON.parse((await stasis(["ids", "web", "--json"], ANSWERS)).stdout), ROWS);
  strictEqual((await stasis(["ids", "web", "-q"], ANSWERS)).stdout, "2\n3\n");
});

Deno.test("ids takes a snapshot where no application has the name", async () => {
  const saved: Listed = { dir: "/store/s1", label: { name: "mail" }, bytes: 1, processes: 1 };
  const list = { snapshots: [saved] };
  for (const word of ["./x", "mail@latest"]) {
    const { exit, engine } = await stasis(["ids", word], { ...ANSWERS, list });
    // Neither the folder nor the store is there.
    strictEqual(exit, 10, word);
    strictEqual(engine.request("ids"), undefined);
  }
  const { exit, fault } = await stasis(["ids", "mail"], ANSWERS);
  strictEqual(exit, 10);
  match(fault?.message ?? "", /an application named "mail"/);
});
