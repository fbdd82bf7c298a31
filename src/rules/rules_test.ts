import { deepStrictEqual, ok, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { NO_RULES, parseRules } from "./rules.ts";

/** What is wrong with a rules file, a line each. */
function mistakes(text: string): string[] {
  try {
    parseRules(text, "r.toml");
  } catch (error) {
    ok(error instanceof StasisError);
    return error.fault.causes ?? [];
  }
  return [];
}

Deno.test("every key is understood", () => {
  const text = `
name = "web-{n}"
hostname = "{name}.{zone}"
tcp = "close"
signal = "HUP"
[variables]
zone = "test"
[paths]
"/srv/a" = "/srv/{name}/a"
[hooks]
before = [["mkdir", "-p", "/srv/{name}"]]
after = [["echo", "{{}}"]]
`;
  deepStrictEqual(parseRules(text, "r.toml").rules, {
    name: "web-{n}",
    hostname: "{name}.{zone}",
    tcp: "close",
    signal: 1,
    paths: { "/srv/a": "/srv/{name}/a" },
    before: [["mkdir", "-p", "/srv/{name}"]],
    after: [["echo", "{{}}"]],
    variables: { zone: "test" },
  });
  deepStrictEqual(parseRules("", "r.toml").rules, NO_RULES);
});

Deno.test("what is no TOML is told with its place", () => {
  const [only = ""] = mistakes('name = "a"\nhostname = \n');
  ok(/^r\.toml:2:\d+: it is not TOML: /.test(only), only);
});

Deno.test("every mistake is told at once, with its place, its key and what was expected", () => {
  const text = `name = "{name}-1"
hostnam = "x"
tcp = "drop"
signal = "NOPE"
[paths]
"a" = "/b"
"/a" = "b"
[hooks]
before = ["ls"]
after = [["ls", "{zone}"], []]
`;
  deepStrictEqual(mistakes(text), [
    'r.toml:2:1: there is no key "hostnam": expected name, hostname, tcp, signal, paths, hooks, variables',
    'r.toml:1:1: "name" cannot use {name}: use {template} and {n}',
    'r.toml:3:1: "tcp" is "drop": expected "keep" or "close"',
    'r.toml:4:1: "signal" is "NOPE": expected a signal such as "HUP", or a number from 1 to 64',
    'r.toml:6:1: "a" is no path: expected an absolute one',
    'r.toml:7:1: the new path of "/a" is "b": expected an absolute one',
    'r.toml:9:11: "hooks.before[0]" is "ls": expected a command: an array of strings',
    'r.toml:10:17: "hooks.after[0][1]" uses {zone}, which is no variable: declare it under [variables]',
    'r.toml:10:28: "hooks.after[1]" is an empty array: expected a command of one word or more',
  ]);
});

Deno.test("variables are words with a text, and braces come in pairs", () => {
  deepStrictEqual(mistakes('hostname = "a{"\n[variables]\nn = "1"\n"a b" = "1"\nc = 1\n'), [
    'r.toml:3:1: "n" is a variable already: choose another name',
    'r.toml:4:1: "a b" is no name for a variable: expected a word',
    'r.toml:5:1: "variables.c" is 1: expected a string',
    'r.toml:1:1: "hostname" has a single brace: write {{ for { and }} for }',
  ]);
});

Deno.test("a table in the place of a text is told", () => {
  deepStrictEqual(mistakes("[name]\nx = 1\n"), ['r.toml:1:2: "name" is a table: expected a string']);
  throws(() => parseRules("paths = 3", "r.toml"), StasisError);
});
