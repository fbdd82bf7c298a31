import { deepStrictEqual, match, ok, strictEqual, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { Inspection } from "../../ffi/messages.ts";
import { mistakesFor, planClones, type Wishes } from "./plan.ts";
import { NO_RULES, type Rules } from "./rules.ts";
import { expand, variablesIn } from "./text.ts";

function names(rules: Partial<Rules>, wishes: Partial<Wishes>): string[] {
  const whole = { template: "web", count: 1, set: {}, taken: new Set<string>(), ...wishes };
  return planClones({ ...NO_RULES, ...rules }, whole).map((plan) => plan.name);
}

Deno.test("clones have the template's name, with numbers where they are many", () => {
  deepStrictEqual(names({}, {}), ["web"]);
  deepStrictEqual(names({}, { count: 3 }), ["web-1", "web-2", "web-3"]);
  deepStrictEqual(names({}, { taken: new Set(["web"]) }), ["web-2"]);
  deepStrictEqual(names({}, { count: 2, taken: new Set(["web-1"]) }), ["web-2", "web-3"]);
});

Deno.test("a name that the user has chosen must be free", () => {
  deepStrictEqual(names({ name: "x-{n}" }, { name: "p", count: 2 }), ["p-1", "p-2"]);
  throws(() => names({}, { name: "p", taken: new Set(["p"]) }), /Could not name a clone "p"/);
  throws(() => names({}, { name: "p", count: 3, taken: new Set(["p-3"]) }), /"p-3"/);
});

Deno.test("a pattern names every clone, and numbers that are taken are passed over", () => {
  deepStrictEqual(names({ name: "{template}.{n}" }, { count: 2, taken: new Set(["web.1"]) }), [
    "web.2",
    "web.3",
  ]);
  deepStrictEqual(names({ name: "fixed" }, { count: 2 }), ["fixed-1", "fixed-2"]);
  const [one = "", two = ""] = names({ name: "a-{uuid}" }, { count: 2 });
  match(one, /^a-[0-9a-f-]{36}$/);
  ok(one !== two);
});

Deno.test("rules are filled in for each clone", () => {
  const rules: Rules = {
    ...NO_RULES,
    paths: { "/a": "/{name}/{zone}/{n}" },
    hostname: "{name}.{zone}",
    before: [["echo", "{{{uuid}}}"]],
    after: [],
    variables: { zone: "z" },
  };
  const wishes = { template: "web", count: 2, set: { zone: "y" }, taken: new Set<string>() };
  const [, second] = planClones(rules, wishes);
  deepStrictEqual(second?.files, { "/a": "/web-2/y/2" });
  strictEqual(second?.hostname, "web-2.y");
  match(second?.before[0]?.[1] ?? "", /^\{[0-9a-f-]{36}\}$/);
});

Deno.test("variables that no rule declares, and host names that are none, are refused", () => {
  const wishes = { template: "web", count: 1, set: { port: "1" }, taken: new Set<string>() };
  throws(() => planClones(NO_RULES, wishes), /variable "port"/);
  throws(
    () => planClones({ ...NO_RULES, hostname: "a b" }, { ...wishes, set: {} }),
    (error) => error instanceof StasisError && /"a b" as a host name/.test(error.fault.causes?.[0] ?? ""),
  );
});

Deno.test("a path that no process has, or that a socket keeps, is a mistake", () => {
  const process = {
    pid: 1,
    ppid: 0,
    pgid: 1,
    sid: 1,
    comm: "x",
    exe: "/bin/x",
    cwd: "/",
    threads: 1,
    vmas: 1,
    bytes: 1,
    mapped: [],
    descriptors: [{ fd: 3, kind: "regular", detail: "/srv/a/b", flags: "write" }],
  };
  const inspection: Inspection = {
    format: 1,
    label: null,
    host: {},
    own_shared_memory: true,
    own_network: false,
    shared_bytes: 0,
    unix_names: ["/run/x.sock"],
    processes: [process],
    sections: [],
    bytes: 1,
  };
  const paths = { "/srv": "/s", "/srv/a/b": "/b", "/run": "/r", "/srv/a/": "/a", "/other": "/o" };
  deepStrictEqual(mistakesFor({ ...NO_RULES, paths }, inspection).map(({ path }) => path[1]), [
    "/run",
    "/other",
  ]);
});

Deno.test("double braces are braces", () => {
  strictEqual(expand("{{n}} {n} {x}", new Map([["n", "1"]])), "{n} 1 {x}");
});

Deno.test("sums are made of variables and numbers", () => {
  const values = new Map([["n", "7"], ["base", "8000"], ["name", "a"]]);
  strictEqual(expand("{n+base - 1}:{n}", values), "8006:7");
  deepStrictEqual(variablesIn("{n + base - 1} {7} {a b + 1} {{x}}"), ["n", "base", "7", "a b"]);
  throws(() => expand("{name + 1}", values), /Could not add up "\{name \+ 1\}"/);
});
