import { deepStrictEqual } from "node:assert/strict";
import { Positions } from "./positions.ts";

function at(text: string, ...path: (string | number)[]): string {
  const { line, column } = new Positions(text).find(path);
  return `${line}:${column}`;
}

Deno.test("keys of tables, dotted and quoted ones are found", () => {
  const text = 'a = 1 # b = 2\n[paths]\n  "/x y" = "1"\n  c.d = 2\n';
  deepStrictEqual(
    [at(text, "a"), at(text, "paths"), at(text, "paths", "/x y"), at(text, "paths", "c", "d")],
    ["1:1", "2:2", "3:3", "4:3"],
  );
});

Deno.test("elements of arrays and inline tables are found", () => {
  const text = 'hooks = { before = [["a"], [\n  "b", "c]"]] }\nz = 1';
  deepStrictEqual(
    [at(text, "hooks", "before"), at(text, "hooks", "before", 1, 1), at(text, "z")],
    ["1:11", "2:8", "3:1"],
  );
});

Deno.test("arrays of tables count their elements, and strings of several lines end where they end", () => {
  const text = '[[x]]\na = """\n[[x]]\n"q" """""\n[[x]]\nb = \'\'\'\n=\'\'\'\n[x.y]\nc = 1';
  deepStrictEqual(
    [at(text, "x", 0, "a"), at(text, "x", 1, "b"), at(text, "x", 1, "y", "c")],
    ["2:1", "6:1", "9:1"],
  );
});

Deno.test("what is not there has the place of what would enclose it", () => {
  deepStrictEqual([at("\n[a]\nb = 1", "a", "c"), at("", "a")], ["2:2", "1:1"]);
});
