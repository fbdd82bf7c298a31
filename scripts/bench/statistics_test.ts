import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { show, showRatio, summarise, table } from "./statistics.ts";

Deno.test("the median of an even number of values lies between the middle two", () => {
  deepStrictEqual(summarise([4, 1, 3, 2]), { median: 2.5, lowest: 1, highest: 4 });
});

Deno.test("a measure is shown with its spread", () => {
  strictEqual(show(summarise([3, 1, 2])), "2.0 (1.0-3.0)");
});

Deno.test("ratios are shown in hundredths", () => {
  strictEqual(showRatio(summarise([1.049, 1, 1.1])), "1.05 (1.00-1.10)");
});

Deno.test("columns of a table line up", () => {
  strictEqual(table([["a", "b"], ["long", "c"]]), "a     b\nlong  c");
});
