import { deepStrictEqual } from "node:assert/strict";
import { portrait } from "./portrait.ts";

const MEMBER = { aid: "aa0000000000", name: "web", state: "running" as const, addresses: ["10.10.2.1"] };
const SITTER = { name: "shop", subnets: ["10.10.2.0/24"], outside: false, encrypted: false };

function standing(name: string, more: object) {
  return { name, address: `192.0.2.${name.length}`, self: false, numbers: [], count: 0, ...more };
}

Deno.test("an environment on this host is drawn there", () => {
  const { hosts, applications, environments } = portrait([{ ...SITTER, members: [MEMBER] }], "here");
  deepStrictEqual(hosts, [{ name: "here", here: true, reachable: true }]);
  deepStrictEqual(applications.map(({ name, host }) => [name, host]), [["web", "here"]]);
  deepStrictEqual(environments.map((one) => one.hosts), [["here"]]);
});

Deno.test("a host is one host in all environments, by the name that it has in them", () => {
  const own = standing("alpha", { self: true, members: [MEMBER] });
  const spanning = { ...SITTER, members: [MEMBER], hosts: [own, standing("beta", { members: [] })] };
  const alone = { ...SITTER, name: "bank", members: [] };
  const { hosts, environments } = portrait([alone, spanning], "localhost");
  deepStrictEqual(hosts.map(({ name, here, address }) => [name, here, address]), [
    ["alpha", true, "192.0.2.5"],
    ["beta", false, "192.0.2.4"],
  ]);
  deepStrictEqual(environments.map((one) => one.hosts), [["alpha"], ["alpha", "beta"]]);
});

Deno.test("a host that cannot be reached is drawn as it was known last", () => {
  const own = standing("alpha", { self: true, members: [] });
  const lost = standing("beta", { unreachable: "no route" });
  const known = new Map([["beta", [{ name: "db", running: true, addresses: ["10.10.2.7"] }]]]);
  const { hosts, applications } = portrait([{ ...SITTER, members: [], hosts: [own, lost], known }], "x");
  deepStrictEqual(hosts.map(({ reachable }) => reachable), [true, false]);
  deepStrictEqual(applications.map(({ name, running }) => [name, running]), [["db", true]]);
});
