/** Virtual network environments on one host: who reaches whom, under which address, and what is left. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { until } from "./stage/stage.ts";
import { Town } from "./stage/town.ts";

/** Sends a frame with another's address to everybody. */
const IMPOSTOR = `
import socket
frame = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
frame.bind(("eth0", 0))
ether = b"\\xff" * 6 + b"\\x02\\x73\\x74\\x00\\x00\\x01" + b"\\x08\\x06"
arp = b"\\x00\\x01\\x08\\x00\\x06\\x04\\x00\\x02" + b"\\x02\\x73\\x74\\x00\\x00\\x01" + socket.inet_aton("10.10.2.2")
frame.send((ether + arp + b"\\xff" * 6 + socket.inet_aton("10.10.2.2")).ljust(60, b"\\x00"))
`;

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

Deno.test({
  name: `members of an environment own the same port, talk, and reach nobody else${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64");
    await town.create("bank", "--subnet", "10.10.3.0/24");
    for (const name of ["web", "store"]) await town.serve(name, "shop");
    await town.serve("safe", "bank");

    strictEqual(await town.hear("10.10.2.1"), "web 1", "the host reaches each");
    strictEqual(await town.hear("10.10.2.2"), "store 1");
    strictEqual(await town.hear("10.10.3.1"), "safe 1");
    strictEqual(await town.hear("fd73:7461:7369:2::2"), "store 2");
    strictEqual(await town.hears("web", "10.10.2.2"), "store 3", "members talk");
    strictEqual(await town.hears("store", "fd73:7461:7369:2::1"), "web 2");
    strictEqual(await town.hears("web", "10.10.3.1"), undefined, "environments do not");

    const [program = "", ...args] = [...town.host.stage.within, "python3", town.server, "host"];
    const own = new Deno.Command(program, { args, stdout: "null" }).spawn();
    await until("a server of the host", async () => await town.hear("169.254.77.1").catch(() => undefined));
    strictEqual(await town.hears("web", "169.254.77.1"), undefined, "nor is the host reached");
    own.kill("SIGKILL");
    await own.status;

    await town.stasis("exec", "web", "--", "python3", "-c", IMPOSTOR);
    const { stopped, members } = await town.show("shop");
    strictEqual(stopped.spoofed, 1);
    ok(stopped.host > 0);
    deepStrictEqual(members.map((one) => one.name).sort(), ["store", "web"]);
    ok(members.every((one) => (one.link?.sent_packets ?? 0) > 0));
  },
});

Deno.test({
  name: `nothing is left of applications that were killed, failed or removed, and of their environment${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    const [bridge = ""] = await town.host.links();
    await town.serve("web", "shop");
    const failed = await town.host.stage.attempt("run", "-d", "--vne", "shop", "--", "/nowhere/at/all");
    ok(failed.code !== 0);
    deepStrictEqual(await town.host.links(), [bridge, `${bridge}-1`]);
    strictEqual((await town.host.stage.attempt("vne", "rm", "shop")).code, 1, "while a member runs");

    await town.stasis("kill", "web");
    await town.stasis("wait", "web");
    await until("the link vanish", async () => (await town.host.links()).length === 1 || undefined);
    await town.serve("again", "shop=10.10.2.1");
    strictEqual(await town.hear("10.10.2.1"), "again 1");
    await town.stasis("rm", "web");
    strictEqual(await town.hear("10.10.2.1"), "again 2", "another has the address now");
    await town.stasis("kill", "again");
    await town.stasis("wait", "again");
    await town.stasis("rm", "again");
    const table = bridge.replace("st-", "stasis-");
    const rights = await town.host.must("nft", "list", "set", "bridge", table, "members_v4");
    strictEqual(rights.includes("10.10.2"), false, rights);
    deepStrictEqual((await town.show("shop")).members, []);

    await town.stasis("vne", "rm", "shop");
    deepStrictEqual(await town.host.links(), []);
    deepStrictEqual(await town.host.tables(), []);
    await town.create("shop", "--subnet", "10.10.2.0/24");
  },
});

Deno.test({
  name: `an application comes back at its address, on a host that has started anew too${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64");
    await town.serve("web", "shop=10.10.2.7");
    strictEqual(await town.hear("10.10.2.7"), "web 1");
    await town.stasis("snapshot", "web", "--stop");
    await town.serve("other", "shop");
    await town.stasis("restore", "web@latest", "-d");
    strictEqual(await town.hear("fd73:7461:7369:2::7"), "web 2", "it is where it was");
    strictEqual(await town.hears("other", "10.10.2.7"), "web 3");
    for (const name of ["web", "other"]) {
      await town.stasis("kill", name);
      await town.stasis("wait", name);
    }
    town.host = await town.host.reboot();
    deepStrictEqual(await town.host.links(), []);
    strictEqual((await town.show("shop")).present, false);
    await town.stasis("restore", "web@latest", "-d");
    strictEqual(await town.hear("10.10.2.7"), "web 2");
    strictEqual((await town.show("shop")).present, true);
  },
});

Deno.test({
  name: `clones answer at addresses of their own, all on the port that each believes it owns${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await town.serve("web", "shop");
    strictEqual(await town.hear("10.10.2.1"), "web 1");
    const id = await town.stasis("snapshot", "web", "-q");
    await town.stasis("template", "create", id, "--name", "web");
    await town.stasis("clone", "web", "--count", "5", "--vne", "shop=10.10.2.100");
    for (let number = 100; number < 105; number++) {
      strictEqual(await town.hear(`10.10.2.${number}`), "web 2", "each has the count of the snapshot");
    }
    strictEqual(await town.hear("10.10.2.104"), "web 3");
    strictEqual(await town.hear("10.10.2.1"), "web 2", "the original goes on");
    await town.stasis("clone", "web", "--name", "more");
    strictEqual(
      await town.hear("10.10.2.2"),
      "web 2",
      "in the environment of the snapshot, where none is named",
    );
  },
});

Deno.test({
  name: `commands that run at once give away different addresses${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    const names = Array.from({ length: 12 }, (_, index) => `web${index}`);
    await Promise.all(
      names.map((name) => town.stasis("run", "-d", "--name", name, "--vne", "shop", "--", "sleep", "60")),
    );
    const { members } = await town.show("shop");
    strictEqual(new Set(members.map((one) => one.addresses[0])).size, names.length);
  },
});
