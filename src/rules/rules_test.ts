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
inside_before = [["app", "prepare"]]
inside_after = [["app", "reload"]]
`;
  deepStrictEqual(parseRules(text, "r.toml").rules, {
    ...NO_RULES,
    name: "web-{n}",
    hostname: "{name}.{zone}",
    tcp: "close",
    signal: 1,
    paths: { "/srv/a": "/srv/{name}/a" },
    before: [["mkdir", "-p", "/srv/{name}"]],
    after: [["echo", "{{}}"]],
    insideBefore: [["app", "prepare"]],
    insideAfter: [["app", "reload"]],
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
    'r.toml:2:1: there is no key "hostnam": expected name, hostname, tcp, signal, stdout, logs, pid_files, ' +
    "paths, text, environment, arguments, ports, vne, address, publish, leave_out, connections, hooks, variables",
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

Deno.test("what is customised in a clone is understood", () => {
  const text = `
stdout = "/var/log/{name}.out"
logs = ["/var/log/app.log"]
pid_files = ["/run/app.pid"]
[environment]
MODE = "clone"
ROLE = { value = "{role}", process = "worker" }
[arguments]
"--port=80" = "--port={n}"
"--x" = { replace = "", process = "worker" }
[[text]]
file = "/etc/app.conf"
find = "{literal}"
replace = ""
[[text]]
file = "/etc/app.conf"
pattern = "^port \\\\d{2}$"
replace = "port {n}"
[ports]
80 = "{n} + 8000"
81 = 9000
82 = "auto"
[leave_out]
paths = ["/var/lib/app/x"]
kinds = ["inotify"]
[connections]
keep = ["10.0.0.1:5432", "[::1]:*"]
close = ["*:*"]
[variables]
role = "r"
`;
  deepStrictEqual(parseRules(text, "r.toml").rules, {
    ...NO_RULES,
    stdout: "/var/log/{name}.out",
    logs: ["/var/log/app.log"],
    pidFiles: ["/run/app.pid"],
    environment: [{ name: "MODE", value: "clone" }, { name: "ROLE", value: "{role}", process: "worker" }],
    arguments: [{ find: "--port=80", replace: "--port={n}" }, {
      find: "--x",
      replace: "",
      process: "worker",
    }],
    texts: [
      { file: "/etc/app.conf", find: "{literal}", replace: "" },
      { file: "/etc/app.conf", pattern: "^port \\d{2}$", replace: "port {n}" },
    ],
    ports: { "80": "{n} + 8000", "81": "9000", "82": "auto" },
    leaveOut: { paths: ["/var/lib/app/x"], kinds: ["inotify"] },
    connections: { keep: ["10.0.0.1:5432", "[::1]:*"], close: ["*:*"] },
    variables: { role: "r" },
  });
});

Deno.test("every mistake in what is customised has its place", () => {
  const text = `stdout = "file"
logs = ["app.log"]
[environment]
STASIS_X = "1"
A = { val = "1" }
[[text]]
file = "/a"
find = "x"
pattern = "y"
[[text]]
file = "/a"
pattern = "("
replace = "{zone}"
[ports]
0 = 1
80 = "many"
81 = 70000
[connections]
keep = ["db"]
`;
  deepStrictEqual(mistakes(text), [
    'r.toml:1:1: "stdout" is "file": expected "log", "null" or an absolute path',
    'r.toml:2:9: "logs[0]" is "app.log": expected an absolute path',
    'r.toml:6:3: this [[text]] has no "replace"',
    'r.toml:6:3: a [[text]] has either "find", a literal text, or "pattern", a regular expression',
    "r.toml:12:1: Invalid regular expression: /(/gm: Unterminated group",
    'r.toml:13:1: "text[1].replace" uses {zone}, which is no variable: declare it under [variables]',
    'r.toml:4:1: "STASIS_X" is given by stasis',
    'r.toml:5:7: there is no key "val": expected value, process',
    'r.toml:5:1: there is no "value"',
    'r.toml:15:1: "0" is no port: expected a number from 1 to 65535',
    'r.toml:16:1: "ports.80" is "many": expected "auto", a port, or a sum such as "{n + 18000}"',
    'r.toml:17:1: "ports.81" is 70000: expected "auto", a port, or a sum such as "{n + 18000}"',
    'r.toml:19:9: "connections.keep[0]" is "db": expected ADDRESS:PORT, with * for any, such as "*:5432"',
  ]);
});

Deno.test("environment, address and published ports of clones are understood", () => {
  const { rules } = parseRules(
    'vne = "shop"\naddress = "10.10.2.{n + 10}"\npublish = ["{n + 18000}:8080", "53/udp", 80]\n',
    "r.toml",
  );
  deepStrictEqual([rules.vne, rules.address], ["shop", "10.10.2.{n + 10}"]);
  deepStrictEqual(rules.publish, ["{n + 18000}:8080", "53/udp", "80"]);
  deepStrictEqual(
    mistakes('vne = "shop-{n}"\naddress = "{address}"\npublish = ["x:80"]\n').map((one) => one.slice(0, 60)),
    [
      'r.toml:1:1: "vne" cannot use {n}: all clones join one environment',
      'r.toml:2:1: "address" cannot use {address}: this is what it stands for',
      'r.toml:3:12: "publish[0]" is "x:80": expected ports such as "8080", "{n + 18000}:8080" or "5353:53/udp"',
    ].map((one) => one.slice(0, 60)),
  );
});
