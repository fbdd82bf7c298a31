/** Members of an environment find each other by name, from their first instruction on and wherever they come back. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { until } from "./stage/stage.ts";
import { Town } from "./stage/town.ts";

/** Prints all addresses of a name. */
const FIND = `
import socket, sys
for found in sorted({one[4][0] for one in socket.getaddrinfo(sys.argv[1], 80)}): print(found)
`;

/**
 * Holds the file of names open and mapped, and says what it has come to know at its start and what it can read now to whoever
 * connects.
 */
const HOLDER = `
import mmap, os, socket
def own(): return socket.gethostname() + " " + socket.getaddrinfo(socket.gethostname(), 80)[0][4][0]
first = own()
held = os.open("/etc/hosts", os.O_RDONLY)
shared = mmap.mmap(held, 128, mmap.MAP_SHARED, mmap.PROT_READ)
private = mmap.mmap(held, 128, mmap.MAP_PRIVATE, mmap.PROT_READ)
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    text = os.pread(held, 1 << 20, 0).decode()
    names = [line.split()[1] for line in text.splitlines() if line[:1].isdigit() and not line.startswith("127.")]
    same = shared[:20] == private[:20] == text[:20].encode()
    connection.sendall(f"{first}; {own()}; {' '.join(sorted(set(names)))}; {same}".encode())
    connection.close()
`;

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

/** What a member finds under a name; undefined for nothing. */
async function find(town: Town, member: string, name: string): Promise<string[] | undefined> {
  const { code, stdout } = await town.host.stage.attempt("exec", member, "--", "python3", "-c", FIND, name);
  return code === 0 ? stdout.trim().split("\n") : undefined;
}

function hostnameOf(town: Town, member: string): Promise<string> {
  return town.stasis("exec", member, "--", "cat", "/proc/sys/kernel/hostname");
}

async function end(town: Town, member: string): Promise<void> {
  await town.stasis("kill", member);
  await town.stasis("wait", member);
}

/** Starts a program that holds the file of names. */
async function hold(town: Town, name: string, vne: string): Promise<void> {
  const program = await town.host.stage.write("holder.py", HOLDER);
  await town.stasis("run", "-d", "--name", name, "--vne", vne, "--", "python3", program);
  await town.awaken(name);
}

Deno.test({
  name: `members find each other by name, also those that come later, and nobody who has gone${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    const before = await Deno.readTextFile("/etc/hosts");
    await town.create("shop", "--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64");
    for (const name of ["web", "my_store"]) await town.serve(name, "shop");
    deepStrictEqual(await find(town, "web", "my-store"), ["10.10.2.2", "fd73:7461:7369:2::2"]);
    strictEqual(await town.hears("my_store", "web"), "web 1", "they connect by name");
    strictEqual(await find(town, "web", "later"), undefined);
    await town.serve("later", "shop", "--hostname", "front.example");
    strictEqual(await town.hears("web", "later"), "later 1", "without a restart of the one that was there");
    strictEqual(await town.hears("web", "front.example"), "later 2", "by its host name too");
    deepStrictEqual(
      await Promise.all(["web", "my_store", "later"].map((name) => hostnameOf(town, name))),
      ["web", "my-store", "front.example"],
    );
    deepStrictEqual(await find(town, "web", "localhost"), ["127.0.0.1", "::1"]);

    const write = await town.host.stage.attempt("exec", "web", "--", "sh", "-c", "echo x >> /etc/hosts");
    match(write.stderr, /[Rr]ead-only/);
    strictEqual(
      (await town.host.stage.attempt("run", "-d", "--name", "bad", "--vne", "shop", "--", "/no")).code,
      1,
    );
    strictEqual(await find(town, "web", "bad"), undefined, "what could not be started is not found");
    ok((await town.host.stage.attempt("run", "--name", "later", "--vne", "shop", "--", "true")).code !== 0);
    deepStrictEqual((await find(town, "web", "later"))?.[0], "10.10.2.3", "nor does it replace another");

    await end(town, "later");
    deepStrictEqual(
      (await find(town, "web", "later"))?.[0],
      "10.10.2.3",
      "its address is its own until then",
    );
    await town.stasis("rm", "later");
    strictEqual(await find(town, "web", "later"), undefined);
    strictEqual(await Deno.readTextFile("/etc/hosts"), before, "the host's own file is as it was");
    for (const name of ["web", "my_store"]) await end(town, name);
    await town.stasis("vne", "rm", "shop");
    deepStrictEqual([...Deno.readDirSync(`${town.host.stage.env["STASIS_HOME"]}/run/names`)], []);
  },
});

Deno.test({
  name: `clones have names of their own, from a template in memory too${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await hold(town, "web", "shop");
    strictEqual(await town.hear("10.10.2.1"), "web 10.10.2.1; web 10.10.2.1; web; True");
    const id = await town.stasis("snapshot", "web", "-q");
    await town.stasis("template", "create", id, "--name", "w");
    const names = (from: number) => Array.from({ length: 5 }, (_, index) => `w-${from + index}`);
    await town.stasis("clone", "w", "--count", "5");
    strictEqual(
      await town.hear("10.10.2.6"),
      `web 10.10.2.1; w-5 10.10.2.6; ${names(1).join(" ")} web; True`,
    );
    deepStrictEqual(await find(town, "w-1", "w-4"), ["10.10.2.5"]);
    await town.stasis("template", "load", "w");
    await town.stasis("clone", "w", "--count", "5", "--name", "m");
    strictEqual(await town.hears("w-2", "m-3"), await town.hear("10.10.2.9"));
    await town.stasis("branch", "m-3", "--name", "twig");
    match(await town.hears("twig", "m-1") ?? "", /; m-1 10\.10\.2\.7; .* twig .*; True/);
    strictEqual(await hostnameOf(town, "twig"), "twig");
  },
});

Deno.test({
  name: `an application that has the names open comes back with those of where it is${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await town.create("bank", "--subnet", "10.10.3.0/24");
    await hold(town, "web", "shop");
    await town.serve("store", "shop");
    await town.serve("safe", "bank");
    const id = await town.stasis("snapshot", "web", "--stop", "-q");
    await town.serve("more", "shop");
    await town.stasis("restore", id, "-d");
    strictEqual(await town.hear("10.10.2.1"), "web 10.10.2.1; web 10.10.2.1; more store web; True");
    strictEqual(await town.hears("store", "web"), await town.hear("10.10.2.1"));

    const beside = await town.host.stage.attempt("restore", id, "-d", "--vne", "shop", "--name", "web-b");
    strictEqual(beside.code, 0, beside.stderr);
    strictEqual(await town.hear("10.10.2.4"), "web 10.10.2.1; web-b 10.10.2.4; more store web web-b; True");
    const banker = await town.host.stage.attempt("restore", id, "-d", "--vne", "bank", "--name", "banker");
    strictEqual(banker.code, 0, banker.stderr);
    ok(!banker.stderr.includes("/etc/hosts"), banker.stderr);
    strictEqual(await town.hears("safe", "banker"), "web 10.10.2.1; banker 10.10.3.2; banker safe; True");
    const alone = await town.host.stage.attempt("restore", id, "-d", "--network", "none", "--name", "alone");
    strictEqual(alone.code, 0, alone.stderr);
    ok(!alone.stderr.includes("/etc/hosts"), alone.stderr);
    const own = await town.stasis("exec", "alone", "--", "cat", "/etc/hosts");
    strictEqual(own, (await Deno.readTextFile("/etc/hosts")).trimEnd(), "in no environment it is the host's");

    for (const name of ["web", "store", "safe", "more", "web-b", "banker", "alone"]) await end(town, name);
    await Deno.remove(`${town.host.stage.env["STASIS_HOME"]}/run/names`, { recursive: true });
    town.host = await town.host.reboot();
    await town.stasis("restore", id, "-d");
    strictEqual(await town.hear("10.10.2.1"), "web 10.10.2.1; web 10.10.2.1; more store web web-b; True");
  },
});

Deno.test({
  name: `a rollback changes neither the name nor the address by which others know an application${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await hold(town, "web", "shop");
    const id = await town.stasis("snapshot", "web", "-q");
    await town.serve("store", "shop");
    await town.stasis("rollback", "web", id);
    strictEqual(await town.hears("store", "web"), "web 10.10.2.1; web 10.10.2.1; store web; True");
    await town.stasis("template", "create", id, "--name", "w");
    await town.stasis("clone", "w", "--name", "copy");
    await town.stasis("rollback", "copy", "--template", "w", "--force");
    strictEqual(await town.hears("store", "copy"), "web 10.10.2.1; copy 10.10.2.3; copy store web; True");
    strictEqual(await town.hears("store", "web"), "web 10.10.2.1; web 10.10.2.1; copy store web; True");
  },
});

Deno.test({
  name: `names are found while members come and go${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await town.serve("store", "shop");
    const program = `
import socket
while True:
    if socket.getaddrinfo("store", 80)[0][4][0] != "10.10.2.1": raise SystemExit("another")
`;
    await town.stasis("run", "-d", "--name", "web", "--vne", "shop", "--", "python3", "-c", program);
    const names = Array.from({ length: 8 }, (_, index) => `m${index}`);
    const live = ["--vne", "shop", "--", "sleep", "60"];
    await Promise.all(names.map((name) => town.stasis("run", "-d", "--name", name, ...live)));
    for (const name of names) deepStrictEqual((await find(town, "store", name))?.length, 1, name);
    await Promise.all(names.map((name) => end(town, name)));
    await Promise.all(names.map((name) => town.stasis("rm", name)));
    for (const name of names) strictEqual(await find(town, "store", name), undefined, name);
    const web = await until("web", async () => {
      const all = JSON.parse(await town.stasis("ps", "--json"));
      return all.find((one: { name: string }) => one.name === "web");
    });
    strictEqual(web.state, "running", await town.stasis("logs", "web"));
  },
});
