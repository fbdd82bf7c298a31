import { deepStrictEqual } from "node:assert/strict";
import { renderTable } from "./table.ts";

const COLUMNS = [{ title: "NAME" }, { title: "SIZE", right: true }, { title: "COMMAND" }];

Deno.test("a table aligns its columns and ends without blanks", () => {
  deepStrictEqual(renderTable(COLUMNS, [["web", "4.0 KiB", "nginx -g daemon"], ["日本", "1 B", ""]]), [
    "NAME     SIZE  COMMAND",
    "web   4.0 KiB  nginx -g daemon",
    "日本      1 B",
  ]);
});

Deno.test("a table is cut to the terminal and only there", () => {
  const [, row] = renderTable(COLUMNS, [["web", "1 B", "a long command line"]], 20);
  deepStrictEqual(row, "web    1 B  a long …");
});

Deno.test("a table without rows is its heading", () => {
  deepStrictEqual(renderTable(COLUMNS, []), ["NAME  SIZE  COMMAND"]);
});

Deno.test("a cell cannot break out of its line", () => {
  deepStrictEqual(renderTable([{ title: "NAME" }], [["a\nb"]]), ["NAME", "a\\nb"]);
});
