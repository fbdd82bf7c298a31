import { match, strictEqual, throws } from "node:assert/strict";
import { checkName, freeName, isId, nameFor, newId } from "./names.ts";

Deno.test("a new id has 12 hexadecimal digits", () => {
  match(newId(), /^[0-9a-f]{12}$/);
  strictEqual(isId(newId()), true);
  strictEqual(isId("0123456789AB"), false);
});

Deno.test("a command's file name becomes the application's name", () => {
  strictEqual(nameFor("/usr/bin/redis-server"), "redis-server");
  strictEqual(nameFor("./My App!"), "my-app-");
  strictEqual(nameFor("___"), "app");
  strictEqual(nameFor("x".repeat(100)).length, 63);
});

Deno.test("a name that is taken gets a number", () => {
  strictEqual(freeName("web", new Set()), "web");
  strictEqual(freeName("web", new Set(["web", "web-2"])), "web-3");
  strictEqual(freeName("x".repeat(63), new Set(["x".repeat(63)])), "x".repeat(61) + "-2");
});

Deno.test("names that no application can have are refused", () => {
  strictEqual(checkName("web.1_b-c"), "web.1_b-c");
  for (const name of ["", "-x", "Web", "a b", "a/b", "x".repeat(64)]) throws(() => checkName(name));
});
