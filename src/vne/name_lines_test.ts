import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { hostNameOf, isListable } from "./hostnames.ts";
import { linesFor, type NamedMember } from "./name_lines.ts";

const SHOP = { subnets: ["10.10.2.0/24", "fd73:7461:7369:2::/64"] };

function member(name: string, address: string, more: Partial<NamedMember> = {}): NamedMember {
  return { name, running: true, addresses: [address], ...more };
}

function lines(...members: NamedMember[]): string[] {
  return linesFor(SHOP, members).map(({ address, name }) => `${address} ${name}`);
}

Deno.test("names of applications become host names, or none", () => {
  const known: [name: string, hostname: string | undefined][] = [
    ["web", "web"],
    ["my_app.v2", "my-app.v2"],
    ["a.10", "a.10"],
    ["at-10.10.2.11", "at-10.10.2.11"],
    ["10", undefined],
    ["1.2.3.4", undefined],
    ["0x10", undefined],
    ["web-", undefined],
    ["web_", undefined],
    ["a..b", undefined],
    ["localhost", undefined],
    ["x".repeat(65), undefined],
  ];
  for (const [name, hostname] of known) strictEqual(hostNameOf(name), hostname, name);
  strictEqual(isListable("web_1"), true, "a host name may have underscores");
  strictEqual(isListable("a\nb"), false);
});

Deno.test("a member is listed with all its addresses, by its name and by its host name", () => {
  const addresses = ["10.10.2.7", "fd73:7461:7369:2::7"];
  deepStrictEqual(lines(member("my_web", "", { addresses, hostname: "front.example" })), [
    "10.10.2.7 my-web",
    "fd73:7461:7369:2::7 my-web",
    "10.10.2.7 front.example",
    "fd73:7461:7369:2::7 front.example",
  ]);
  deepStrictEqual(lines(member("web", "10.10.2.1", { hostname: "web" })), ["10.10.2.1 web"]);
});

Deno.test("an ended member is found until another one has its address or its name", () => {
  const ended = { running: false };
  deepStrictEqual(lines(member("web", "10.10.2.1", ended)), ["10.10.2.1 web"]);
  deepStrictEqual(lines(member("web", "10.10.2.1", ended), member("new", "10.10.2.1")), ["10.10.2.1 new"]);
  deepStrictEqual(lines(member("web", "10.10.2.1", ended), member("web", "10.10.2.2")), ["10.10.2.2 web"]);
  deepStrictEqual(lines(member("web", "10.10.2.2", ended), member("web", "10.10.2.1", ended)), [
    "10.10.2.2 web",
  ], "the newer one comes first");
});

Deno.test("of two that run under one name both are listed, and the first comes first", () => {
  deepStrictEqual(lines(member("web", "10.10.2.1"), member("web", "10.10.2.9")), [
    "10.10.2.1 web",
    "10.10.2.9 web",
  ]);
});

Deno.test("a host name does not stand in the way of a member that is called so", () => {
  deepStrictEqual(lines(member("a", "10.10.2.1", { hostname: "web" }), member("web", "10.10.2.2")), [
    "10.10.2.1 a",
    "10.10.2.2 web",
  ]);
});

Deno.test("what another host tells is believed for addresses of the environment only", () => {
  const told = [
    member("web", "8.8.8.8"),
    member("x y\n1.1.1.1 z", "10.10.2.3"),
    member("a", "10.10.2.4", { hostname: "b c" }),
  ];
  deepStrictEqual(lines(...told), ["10.10.2.4 a"]);
});
