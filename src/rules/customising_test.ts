import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { customised } from "./customised.ts";
import { customise } from "./customising.ts";
import { planClones } from "./plan.ts";
import { NO_RULES, type Rules } from "./rules.ts";
import { change, changeTexts, mistakesInTexts } from "./texts.ts";

function edited(rules: Partial<Rules>, files: Record<string, string> = {}): ReturnType<typeof customise> {
  return customise({ ...NO_RULES, ...rules }, files, (text) => text.replaceAll("{n}", "$7"));
}

Deno.test("without rules nothing is asked of the engine", () => {
  deepStrictEqual(edited({}), { edits: {}, texts: [] });
});

Deno.test("rules become edits", () => {
  const { edits } = edited({
    logs: ["/log"],
    pidFiles: ["/pid"],
    stdout: "null",
    ports: { "80": "8000 + 7 - 1", "81": "auto" },
    connections: { keep: ["*:1"], close: ["*:*"] },
  }, { "/a/": "/b" });
  deepStrictEqual(edits, {
    mounts: [
      { target: "/a", source: { path: "/b" } },
      { target: "/log", source: "empty" },
      { target: "/pid", source: "copy" },
    ],
    output: "null",
    ports: [{ from: 80, to: 8006 }, { from: 81, to: 0 }],
    connections: [{ end: "*:1", keep: true }, { end: "*:*", keep: false }],
  });
});

Deno.test("a text is read where its file has moved, and a value is never a sign of a regular expression", () => {
  const texts = [{ file: "/a/c/x", pattern: "(p) (.)", replace: "$1 {n}" }];
  const [text] = edited({ texts }, { "/a": "/b", "/a/c": "/d/" }).texts;
  deepStrictEqual([text?.file, text?.source, text?.replace], ["/a/c/x", "/d/x", "$1 $$7"]);
  deepStrictEqual(change("p 1\np 2\n", text!), { text: "p $7\np $7\n", count: 2 });
  deepStrictEqual(change("a.a", { find: "a", replace: "$1" }), { text: "$1.$1", count: 2 });
});

Deno.test("texts of one file change one after the other, and one that does not occur is an error", () => {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(file, "port 1\nname a\n");
    const rule = (pattern: string, replace: string) => ({ file, source: file, pattern, replace });
    const { mounts, changes } = changeTexts([rule("^port 1$", "port 2"), rule("^port 2$", "port 3")]);
    deepStrictEqual(mounts, [{ target: file, source: { text: "port 3\nname a\n" } }]);
    deepStrictEqual(changes.map(({ count }) => count), [1, 1]);
    throws(
      () => changeTexts([rule("^port 9$", "")]),
      (error) =>
        error instanceof StasisError && /"\^port 9\$" does not occur/.test(error.fault.causes?.[0] ?? ""),
    );
    const texts = [{ file, pattern: "^port 9$", replace: "" }, {
      file: "/nowhere/x",
      find: "a",
      replace: "",
    }];
    const mistakes = mistakesInTexts({ ...NO_RULES, texts });
    deepStrictEqual(mistakes.map(({ path }) => path), [["text", 0, "pattern"], ["text", 1, "file"]]);
    deepStrictEqual(mistakesInTexts({ ...NO_RULES, texts, before: [["true"]] }), []);
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("a rule that fails for one clone names it, and the rule", () => {
  const rules = { ...NO_RULES, ports: { "80": "{n} + 65479" } };
  const wishes = { template: "web", count: 60, set: {}, taken: new Set<string>() };
  try {
    planClones(rules, wishes);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    strictEqual(error.fault.message, 'Could not use the rules for the clone "web-57", number 57');
    deepStrictEqual(error.fault.causes, [
      "Could not give port 80 another one",
      '"57 + 65479" comes to no port from 1 to 65535',
    ]);
    return;
  }
  throw new Error("it was planned");
});

Deno.test("an address is that of the clone, and without one it cannot be used", () => {
  const rules = { ...NO_RULES, environment: [{ name: "ADDRESS", value: "{address}" }] };
  const wishes = { template: "web", count: 2, set: {}, taken: new Set<string>() };
  const [, second] = planClones(rules, { ...wishes, addresses: ["10.0.0.1", "10.0.0.2"] });
  deepStrictEqual(second?.customising.edits.environment, [{ name: "ADDRESS", value: "10.0.0.2" }]);
  throws(
    () => planClones(rules, wishes),
    (error) => error instanceof StasisError && /no network address/.test(error.fault.causes?.[1] ?? ""),
  );
  match(planClones(NO_RULES, wishes)[0]?.name ?? "", /^web-1$/);
});

Deno.test("every rule that changes what has no name of its own in the image is shown", () => {
  const rules: Rules = {
    ...NO_RULES,
    stdout: "null",
    logs: ["/l"],
    pidFiles: ["/p"],
    texts: [{ file: "/t", find: "a", replace: "b" }],
    environment: [{ name: "E", value: "{n}", process: "w" }],
    arguments: [{ find: "x", replace: "y" }],
  };
  deepStrictEqual(customised(rules).map(({ kind, name, why }) => [kind, name, why]), [
    ["text", "/t", 'a private copy stands there, with "a" replaced by "b"'],
    ["file", "/l", "each clone has its own there, which begins empty"],
    ["file", "/p", "each clone has a copy of its own there"],
    ["environment", "E", 'a clone\'s is "{n}", in processes called "w"'],
    ["arguments", "x", 'replaced by "y"'],
    ["output", "standard output and error", "a clone's goes nowhere"],
  ]);
});
