import { strictEqual, throws } from "node:assert/strict";
import { parseBytes } from "./bytes.ts";

Deno.test("sizes are powers of 1024, with or without a unit", () => {
  strictEqual(parseBytes("4096"), 4096);
  strictEqual(parseBytes("512M"), 512 * 1024 ** 2);
  strictEqual(parseBytes("1.5gib"), 1.5 * 1024 ** 3);
  for (const wrong of ["", "0", "-1", "G", "4X", "9999999T"]) throws(() => parseBytes(wrong), wrong);
});
