import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { EnvironmentCard } from "./environments.ts";
import { forgetMembers, hostsFileOf, membersElsewhere, noteMembers } from "./names.ts";
import { arrivalsIn, dropArrivals, noteArrivals } from "./arrivals.ts";
import { memberHostname, returningHostname } from "./newcomers.ts";
import type { Network, NetworkLink } from "../../ffi/messages.ts";

const SHOP: EnvironmentCard = {
  name: "shop",
  id: "a1b2c3",
  created: "2026-01-01T00:00:00Z",
  subnets: ["10.10.2.0/24"],
  outside: false,
};

const LINKS: NetworkLink[] = [{ environment: SHOP, interface: "eth0", addresses: ["10.10.2.1"] }];
const IN_SHOP: Network = { own: { links: LINKS } };

class Place implements Disposable {
  readonly base = Deno.makeTempDirSync();
  readonly home = { data: `${this.base}/data`, run: `${this.base}/run` };
  readonly folder = `${this.base}/data/vne/shop`;

  constructor() {
    Deno.mkdirSync(this.folder, { recursive: true });
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.base, { recursive: true });
  }
}

Deno.test("what another host tells replaces what it told before, until it is forgotten", async () => {
  using place = new Place();
  const web = { name: "web", running: true, addresses: ["10.10.2.9"] };
  await noteMembers(place.home, SHOP, "far/../away", [web, { ...web, name: "store" }]);
  await noteMembers(place.home, SHOP, "far/../away", [web]);
  await noteMembers(place.home, SHOP, "beyond", []);
  deepStrictEqual([...membersElsewhere(place.home, SHOP)], [["beyond", []], ["far/../away", [web]]]);
  await forgetMembers(place.home, SHOP, "far/../away");
  await forgetMembers(place.home, SHOP, "never/known");
  deepStrictEqual([...membersElsewhere(place.home, SHOP).keys()], ["beyond"]);
});

Deno.test("what cannot be a member is passed over", () => {
  using place = new Place();
  Deno.mkdirSync(`${place.folder}/members`);
  const told = [{ name: "web" }, 7, { name: "a", running: true, addresses: [1] }];
  Deno.writeTextFileSync(`${place.folder}/members/far.json`, JSON.stringify(told));
  deepStrictEqual([...membersElsewhere(place.home, SHOP)], [["far", []]]);
});

Deno.test("arrivals are known as long as their command runs, or says so", () => {
  using place = new Place();
  const web = { name: "web", addresses: ["10.10.2.1"] };
  const store = { name: "store", hostname: "s", addresses: ["10.10.2.2"] };
  noteArrivals(place.folder, [web, store]);
  const dead = { name: "dead", addresses: ["10.10.2.3"], pid: 1, started: "0" };
  const file = `${place.folder}/arrivals.json`;
  Deno.writeTextFileSync(file, JSON.stringify([...JSON.parse(Deno.readTextFileSync(file)), dead]));
  deepStrictEqual(arrivalsIn(place.folder).map(({ name }) => name), ["web", "store"]);
  dropArrivals(place.folder, [web]);
  deepStrictEqual(arrivalsIn(place.folder).map(({ name, hostname }) => [name, hostname]), [["store", "s"]]);
});

Deno.test("the file that members see is named for the id of the environment", () => {
  strictEqual(hostsFileOf({ data: "/d", run: "/r" }, SHOP), "/r/names/a1b2c3");
});

Deno.test("a member is called like itself, unless it was given a host name", () => {
  deepStrictEqual(memberHostname(IN_SHOP, "my_web"), { hostname: "my-web" });
  deepStrictEqual(memberHostname("host", "web"), {});
  deepStrictEqual(memberHostname({ own: {} }, "web"), {});
  deepStrictEqual(memberHostname(IN_SHOP, "10"), {});
  const back = (hostname: string, was = LINKS) =>
    returningHostname(IN_SHOP, "web-2", { label: { name: "web" }, hostname, links: was });
  deepStrictEqual(back("web"), { hostname: "web-2" }, "it was called like itself");
  deepStrictEqual(back("given"), {}, "it keeps what it was given");
  deepStrictEqual(back("some-host", []), { hostname: "web-2" }, "it was no member");
  deepStrictEqual(
    returningHostname("host", "web", { label: { name: "web" }, hostname: "web", links: LINKS }),
    {},
  );
  deepStrictEqual(returningHostname(IN_SHOP, undefined, { label: null }), {});
});
