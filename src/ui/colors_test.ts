import { strictEqual } from "node:assert/strict";
import { createColors } from "./colors.ts";

Deno.test("a painted text ends its own colour", () => {
  strictEqual(createColors(true).red("no"), "\x1b[31mno\x1b[39m");
});

Deno.test("without colours a text stays as it is", () => {
  strictEqual(createColors(false).bold("no"), "no");
});
