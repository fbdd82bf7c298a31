import { match, notStrictEqual, strictEqual, throws } from "node:assert/strict";
import { sessionForTests } from "../remote/workbench.ts";
import { secretFor } from "./secrets.ts";

Deno.test("an environment that is made again has another secret, also with the same file", async () => {
  const session = sessionForTests();
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, `${"0123456789abcdef".repeat(4)}\n`);
    const make = () => secretFor(session, { encrypt: true, secret: file }) ?? "";
    const [one, other] = [make(), make()];
    match(one, /^[0-9a-f]{64}$/);
    notStrictEqual(one, other);
    strictEqual(secretFor(session, {}), undefined);
    await Deno.writeTextFile(file, "0123");
    throws(make, (error) => error instanceof Error && /Could not use the secret/.test(error.message));
  } finally {
    await Deno.remove(file);
  }
});
