/** Environments on several hosts: who hands out which addresses, who comes and goes, and what is left. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { until } from "./stage/stage.ts";
import { Land, refusal } from "./stage/land.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

function play(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${why}`, ignore, fn });
}

play(
  "an environment on three hosts has different addresses on each, and members reach each other",
  async () => {
    await using land = await Land.open(3);
    await land.create("shop", ["b", "c"], "--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64");
    for (const name of ["a", "b", "c"]) await land.town(name).serve(`web-${name}`, "shop");
    const { hosts = [], mtu } = await land.show("b", "shop");
    deepStrictEqual(hosts.map(({ name, count }) => [name, count]), [["a", 84], ["b", 85], ["c", 85]]);
    strictEqual(mtu, 1450, "what fits into a link of 1500 bytes");
    const places = hosts.flatMap(({ members = [] }) =>
      members.map(({ name, addresses }) => [name, addresses[0]])
    );
    deepStrictEqual(places, [["web-a", "10.10.2.1"], ["web-b", "10.10.2.85"], ["web-c", "10.10.2.170"]]);
    strictEqual(await land.town("a").hears("web-a", "10.10.2.85"), "web-b 1");
    strictEqual(await land.town("c").hears("web-c", "10.10.2.1"), "web-a 1");
    strictEqual(await land.town("c").hears("web-c", "fd73:7461:7369:2::55"), "web-b 2");
    const { stdout } = await land.town("a").host.stage.attempt("vne", "show", "shop");
    match(stdout, /a \(this\) +172\.31\.0\.1 +84 +1 +there[^]*c +\w+ +web-c +running +10\.10\.2\.170/);

    const inUse = await refusal(land.town("a"), "vne", "rm", "shop");
    match(inUse, /"web-/);
    strictEqual((await land.show("c", "shop")).present, true, "it was removed from none");
    for (const name of ["a", "b", "c"]) {
      await land.town(name).stasis("kill", `web-${name}`);
      await land.town(name).stasis("wait", `web-${name}`);
    }
    await land.town("b").stasis("vne", "rm", "shop");
    for (const name of ["a", "b", "c"]) {
      deepStrictEqual(await land.remains(name), [], name);
      strictEqual(await land.town(name).stasis("vne", "ls", "-q"), "");
    }
  },
);

play("an environment is made on all hosts or on none", async () => {
  await using land = await Land.open(3);
  await land.town("c").create("other", "--subnet", "10.10.2.128/25");
  await land.town("c").host.must("ip", "route", "add", "10.10.4.0/24", "via", "172.31.0.1");
  const before = await land.remains("c");
  const options = ["--self", "a", "--peer", "b=172.31.0.2", "--peer", "c=172.31.0.3", ...land.ways];
  const overlapping = await refusal(
    land.town("a"),
    "vne",
    "create",
    "shop",
    "--subnet",
    "10.10.2.0/24",
    ...options,
  );
  match(overlapping, /c: Could not use the range[^]*"other" has 10\.10\.2\.128\/25/);
  // Only the kernel of c knows, when b has made it already.
  const late = await refusal(land.town("a"), "vne", "create", "bank", "--subnet", "10.10.4.0/24", ...options);
  match(late, /c: Could not[^]*10\.10\.4\.0\/24[^]*It was made on no host/);
  deepStrictEqual([await land.remains("a"), await land.remains("b")], [[], []]);
  await land.reachable("b", false);
  const down = await refusal(land.town("a"), "vne", "create", "bank", "--subnet", "10.10.3.0/24", ...options);
  match(down, /Could not reach stasis on b[^]*No route to host/);
  deepStrictEqual(await land.remains("a"), []);
  deepStrictEqual(await land.remains("c"), before);
  await land.reachable("b", true);
  const wrong = [...options.slice(0, 2), "--peer", "b=172.31.0.77", ...land.ways];
  const nowhere = await refusal(
    land.town("a"),
    "vne",
    "create",
    "bank",
    "--subnet",
    "10.10.3.0/24",
    ...wrong,
  );
  match(nowhere, /b: Could not use 172\.31\.0\.77 as the address of this host/);
  deepStrictEqual(await land.remains("b"), []);
  strictEqual(await land.town("b").stasis("vne", "ls", "-q"), "");
});

play("hosts that hand out addresses at once, and without one of them, never give one twice", async () => {
  await using land = await Land.open(3);
  // Five numbers for each of two hosts, four for the third.
  await land.create("shop", ["b", "c"], "--subnet", "10.10.2.0/28");
  await land.reachable("c", false);
  for (const refused of await land.storm("shop", ["a", "b"], 6)) {
    match(refused, /Could not find an address[^]*Could not reach stasis on c/);
  }
  // Who was refused may have been so while a number was on its way from one to the other.
  await land.fill("shop", "a");
  const addresses = await land.inUse("a", "shop");
  strictEqual(new Set(addresses).size, addresses.length, "each has its own");
  strictEqual(addresses.length, 9, "all that a and b own are used");
  const shown = await land.show("a", "shop");
  match(shown.hosts?.find(({ name }) => name === "c")?.unreachable ?? "", /No route to host/);
  for (let number = 1; number <= 4; number++) await land.place("c", "shop", `c${number}`);
  await land.reachable("c", true);
  const own = (await land.show("c", "shop")).members.flatMap((one) => one.addresses);
  strictEqual(new Set([...addresses, ...own]).size, addresses.length + own.length);
});

play("a host joins with half of the free addresses of another, and all learn of it", async () => {
  await using land = await Land.open(3);
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/24");
  await land.town("a").serve("web", "shop");
  await land.reachable("b", false);
  await land.join("c", "shop", "a");
  const { hosts = [] } = await land.show("c", "shop");
  deepStrictEqual(hosts.map(({ name, count }) => [name, count]), [["a", 64], ["b", 127], ["c", 63]]);
  await land.town("c").serve("store", "shop");
  strictEqual(await land.town("c").hears("store", "10.10.2.1"), "web 1");
  await land.reachable("b", true);
  strictEqual((await land.show("b", "shop")).hosts?.length, 3, "what it has missed it learns when they meet");
  await land.town("b").serve("bank", "shop");
  strictEqual(await land.town("b").hears("bank", await land.addressOf("c", "shop", "store")), "store 1");
  match(await refusal(land.town("c"), "vne", "join", "shop", "--peer", "a"), /has it already/);

  for (const [name, application] of [["c", "store"], ["b", "bank"]] as const) {
    await land.town(name).stasis("kill", application);
    await land.town(name).stasis("wait", application);
  }
  await land.town("c").stasis("vne", "leave", "shop");
  deepStrictEqual(await land.remains("c"), []);
  const left = (await land.show("a", "shop")).hosts ?? [];
  strictEqual(left.reduce((sum, { count }) => sum + count, 0), 254, "its addresses went back");
  deepStrictEqual(left.map(({ name }) => name), ["a", "b"]);
  strictEqual((await land.show("b", "shop")).hosts?.length, 2);
});

play("hosts that join by one which is lost are not forgotten", async () => {
  await using land = await Land.open(4);
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/28");
  await land.join("c", "shop", "b");
  await land.reachable("a", false);
  await land.join("d", "shop", "c");
  await land.place("d", "shop", "web");
  await land.reachable("a", true);
  await land.reachable("c", false);
  // Of d only b can tell.
  await land.town("a").stasis("vne", "leave", "shop", "--host", "c");
  const { hosts = [] } = await land.show("a", "shop");
  deepStrictEqual(hosts.map(({ name }) => name), ["a", "b", "d"]);
  strictEqual(hosts.reduce((sum, { count }) => sum + count, 0), 14);
  await land.fill("shop", "a");
  const addresses = await land.inUse("a", "shop");
  strictEqual(new Set(addresses).size, addresses.length);
  strictEqual(addresses.length, 14);
});

play("an application moves to another host with its address, which is given there", async () => {
  await using land = await Land.open(2);
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/24");
  await land.town("a").serve("web", "shop=10.10.2.7");
  await land.town("b").serve("peer", "shop");
  strictEqual(await land.town("b").hears("peer", "10.10.2.7"), "web 1");
  const [a, b] = [land.town("a"), land.town("b")];
  const snapshot = await a.stasis("snapshot", "web", "-q");
  const file = `${a.host.stage.folder}/web.stasis`;
  await a.stasis("export", snapshot, file);
  await b.stasis("import", file);
  match(
    await refusal(b, "restore", snapshot, "-d"),
    /from the host "a", which owns it[^]*the application "web" has it/,
  );
  await a.stasis("kill", "web");
  await a.stasis("wait", "web");
  await b.stasis("restore", snapshot, "-d");
  await until("the peer reach it where it is now", () => b.hears("peer", "10.10.2.7"));
  strictEqual(await land.addressOf("b", "shop", "web"), "10.10.2.7");
  await land.reachable("b", false);
  match(
    await refusal(a, "run", "-d", "--vne", "shop=10.10.2.7", "--", "true"),
    /from the host "b", which owns it/,
  );
  await land.place("a", "shop", "other");
});

play("a host that never comes back is gone on without, and one that does comes to know it", async () => {
  await using land = await Land.open(3);
  await land.create("shop", ["b", "c"], "--subnet", "10.10.2.0/28");
  await land.place("c", "shop", "lost");
  for (const name of ["b", "c"]) await land.reachable(name, false);
  const unsure = await refusal(land.town("a"), "vne", "leave", "shop", "--host", "c");
  match(unsure, /all other hosts must say which addresses they own[^]*Could not reach stasis on b/);
  await land.reachable("b", true);
  await land.town("a").stasis("vne", "leave", "shop", "--host", "c");
  const { hosts = [] } = await land.show("b", "shop");
  deepStrictEqual(hosts.map(({ name }) => name), ["a", "b"]);
  strictEqual(hosts.reduce((sum, { count }) => sum + count, 0), 14);
  for (let number = 1; number <= 10; number++) await land.place("b", "shop", `web${number}`);

  await land.reachable("c", true);
  await land.town("c").stasis("vne", "show", "shop");
  match(
    await refusal(land.town("c"), "run", "-d", "--vne", "shop", "--", "true"),
    /no longer part of the environment/,
  );
  await land.town("c").stasis("vne", "leave", "shop", "--force");
  await land.join("c", "shop", "b");
  strictEqual((await land.show("a", "shop")).hosts?.length, 3);
  await land.town("c").stasis("kill", "lost");
  await land.town("c").stasis("wait", "lost");
});

play("after a restart of a host one command brings all of it back, over IPv6 too", async () => {
  await using land = await Land.open(2, 6);
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/24");
  strictEqual((await land.show("a", "shop")).mtu, 1430);
  await land.town("a").serve("web", "shop");
  await land.town("b").serve("peer", "shop");
  strictEqual(await land.town("b").hears("peer", "10.10.2.1"), "web 1");
  await land.town("b").stasis("kill", "peer");
  await land.town("b").stasis("wait", "peer");
  await land.reboot("b");
  deepStrictEqual(await land.remains("b"), []);
  await land.town("b").stasis("vne", "join", "shop");
  ok((await land.remains("b")).length > 0);
  await land.town("b").serve("again", "shop");
  strictEqual(await land.town("b").hears("again", "10.10.2.1"), "web 2");
});
