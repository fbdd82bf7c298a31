/**
 * Applications in a network namespace of their own: what they see of it, and what comes back of it, in a restore and in
 * clones. Needs root but where an ordinary user is named.
 */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { capture, freePort, Stage, until } from "./stage/stage.ts";

const skipped = Deno.uid() === 0 ? undefined : "clones and connections of other users need root";
if (skipped !== undefined) console.log(`skipping the tests of own networks: ${skipped}`);

/**
 * A server and a client with a connection between them, in which bytes wait; an abstract UNIX name; a datagram that waits.
 * Whoever asks the server for a number gets what the client made of all numbers so far, and what had waited.
 */
const PAIR = `
import os, socket, subprocess, sys
port, family = int(sys.argv[1]), socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
if family == socket.AF_INET6:
    subprocess.run(["ip", "addr", "add", sys.argv[2] + "/128", "dev", "lo", "nodad"], check=True)
server = socket.socket(family)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind((sys.argv[2], port))
server.listen()
named = socket.socket(socket.AF_UNIX)
named.bind("\\0stasis-network-test")
named.listen()
mailbox = socket.socket(family, socket.SOCK_DGRAM)
mailbox.bind((sys.argv[2], port))
socket.socket(family, socket.SOCK_DGRAM).sendto(b"letter", (sys.argv[2], port))
if os.fork() == 0:
    server.close()
    inner = socket.create_connection((sys.argv[2], port))
    inner.sendall(b"hello\\n")
    total = 0
    for line in inner.makefile("r"):
        total += int(line)
        inner.sendall(b"%d\\n" % total)
    sys.exit()
inner, _ = server.accept()
while not inner.recv(6, socket.MSG_PEEK).endswith(b"\\n"): pass
print("ready", flush=True)
replies, waited = inner.makefile("r"), None
while True:
    asker, _ = server.accept()
    named.accept()[0].close()
    number = asker.makefile("r").readline()
    if waited is None: waited = replies.readline().strip(), mailbox.recv(99).decode()
    inner.sendall(number.encode())
    asker.sendall("|".join([replies.readline().strip(), *waited]).encode())
    asker.close()
`;

/** Asks the server of the namespace that it is run in; proves that the abstract name is there as well. */
const ASK = `
import socket, sys
socket.socket(socket.AF_UNIX).connect("\\0stasis-network-test")
asked = socket.create_connection((sys.argv[2], int(sys.argv[1])), timeout=20)
asked.sendall(sys.argv[3].encode() + b"\\n")
print(asked.makefile("r").read())
`;

interface Pair {
  start(name: string, ...options: string[]): Promise<void>;
  /** Adds to the number that the application of this name keeps. */
  add(name: string, number: number): Promise<string>;
  port: number;
}

async function pair(stage: Stage, address = "127.0.0.1"): Promise<Pair> {
  const port = freePort();
  const program = await stage.write("pair.py", PAIR);
  const ask = await stage.write("ask.py", ASK);
  return {
    port,
    start: async (name, ...options) => {
      const words = ["python3", program, String(port), address];
      await stage.stasis("run", "-d", "--name", name, ...options, "--", ...words);
      await until("it run", async () => (await stage.logs(name)).includes("ready") || undefined);
    },
    add: (name, number) => {
      const words = ["python3", ask, String(port), address, String(number)];
      return stage.stasis("exec", name, "--", "timeout", "20", ...words);
    },
  };
}

async function template(stage: Stage, application: string): Promise<void> {
  const id = await stage.stasis("snapshot", application, "--stop", "-q");
  await stage.stasis("template", "create", id, "--name", "t");
}

async function clones(stage: Stage, ...options: string[]): Promise<string[]> {
  const lines = await stage.stasis("clone", "t", "--json", ...options);
  return lines.split("\n").map((line) => JSON.parse(line).name);
}

/** Whether a test has to be passed over for want of ip(8), which is said. */
async function hasNoIp(): Promise<boolean> {
  const missing = await capture(["ip", "-V"]).then(({ code }) => code !== 0, () => true);
  if (missing) console.log("skipping: there is no ip(8)");
  return missing;
}

function root(name: string, test: () => Promise<void>): void {
  Deno.test({ name, ignore: skipped !== undefined, fn: test });
}

root("an application without a network has loopback alone, and so has what is run beside it", async () => {
  await using stage = await Stage.open();
  const script = "cat /proc/net/dev /proc/net/if_inet6; echo ready; sleep 1000";
  await stage.stasis("run", "-d", "--name", "alone", "--network", "none", "--", "sh", "-c", script);
  const log = await until("it run", async () => {
    const text = await stage.logs("alone");
    return text.includes("ready") ? text : undefined;
  });
  deepStrictEqual([...log.matchAll(/^ *([a-z0-9]+):/gm)].map((found) => found[1]), ["lo"]);
  const here = await Deno.readLink("/proc/self/ns/net");
  const own = await stage.stasis("exec", "alone", "--", "readlink", "/proc/self/ns/net");
  ok(own !== here && own.startsWith("net:["));
  const [one] = JSON.parse(await stage.stasis("ps", "--json"));
  deepStrictEqual(one.network, { own: { links: [] } });
  await stage.stasis("run", "-d", "--name", "usual", "--", "sleep", "1000");
  strictEqual(await stage.stasis("exec", "usual", "--", "readlink", "/proc/self/ns/net"), here);
});

root("two applications have one port at once, and both come back", async () => {
  await using stage = await Stage.open();
  const { start, add, port } = await pair(stage);
  for (const name of ["one", "two"]) await start(name, "--network", "none");
  strictEqual(await add("one", 1), "1|hello|letter");
  await stage.roundTrip("one");
  await stage.roundTrip("two");
  strictEqual(await add("one", 10), "11|hello|letter");
  strictEqual(await add("two", 5), "5|hello|letter");
  const systems = await Promise.all(["one", "two"].map(async (name) => {
    const rows = JSON.parse(await stage.stasis("ids", name, "--json"));
    const row = rows.find((one: { type: string; key: string }) =>
      one.type === "port" && one.key === "tcp 127.0.0.1"
    );
    deepStrictEqual([row.virtual, row.backend], [port, "namespace"]);
    const { pid } = await stage.application(name);
    strictEqual(row.system, `${await Deno.readLink(`/proc/${pid}/ns/net`)} ${port}`);
    return row.system;
  }));
  ok(systems[0] !== systems[1]);
});

root("a snapshot that leaves the application running does it no harm", async () => {
  await using stage = await Stage.open();
  const { start, add } = await pair(stage);
  await start("kept", "--network", "none");
  await stage.stasis("snapshot", "kept");
  strictEqual(await add("kept", 3), "3|hello|letter");
  await stage.stasis("restore", "kept@latest", "-d", "--name", "again");
  strictEqual(await add("again", 4), "4|hello|letter");
  strictEqual(await add("kept", 4), "7|hello|letter");
});

root(
  "five clones have the port, the name and the connection of the application, each for itself",
  async () => {
    await using stage = await Stage.open();
    const { start, add } = await pair(stage);
    await start("pair", "--network", "none");
    await template(stage, "pair");
    const shown = JSON.parse(await stage.stasis("template", "show", "t", "--json"));
    const multiplexed = shown.resources.filter((one: { treatment: string }) => one.treatment === "multiplex");
    deepStrictEqual(multiplexed, []);
    const names = await clones(stage, "--count", "5");
    for (const [index, name] of names.entries()) strictEqual(await add(name, index), `${index}|hello|letter`);
    for (const [index, name] of names.entries()) {
      strictEqual(await add(name, 100), `${100 + index}|hello|letter`);
    }
  },
);

root("clones of a template in memory have networks of their own as well", async () => {
  await using stage = await Stage.open();
  const { start, add } = await pair(stage);
  await start("pair", "--network", "none");
  await template(stage, "pair");
  await stage.stasis("template", "load", "t");
  const names = await clones(stage, "--count", "3");
  for (const [index, name] of names.entries()) strictEqual(await add(name, index), `${index}|hello|letter`);
  await stage.stasis("template", "unload", "t");
});

root(
  "clones of an application on the host's network get namespaces of their own with --network none",
  async () => {
    await using stage = await Stage.open();
    const { start, add } = await pair(stage);
    await start("pair");
    await template(stage, "pair");
    const names = await clones(stage, "--count", "5", "--network", "none");
    for (const [index, name] of names.entries()) strictEqual(await add(name, index), `${index}|hello|letter`);
    const first = names[0] ?? "";
    const id = await stage.stasis("snapshot", first, "--stop", "-q");
    await stage.stasis("restore", id, "-d", "--network", "host");
    const back = await stage.stasis("exec", first, "--", "readlink", "/proc/self/ns/net");
    strictEqual(back, await Deno.readLink("/proc/self/ns/net"));
    strictEqual(await add(first, 1), "1|hello|letter");
  },
);

root("IPv6 and addresses of loopback come back", async () => {
  await using stage = await Stage.open();
  if (await hasNoIp()) return;
  const { start, add } = await pair(stage, "fd00::7");
  await start("six", "--network", "none");
  await stage.roundTrip("six");
  const addresses = await stage.stasis("exec", "six", "--", "ip", "-brief", "addr", "show", "lo");
  for (const address of ["127.0.0.1/8", "::1/128", "fd00::7/128"]) ok(addresses.includes(address), addresses);
  strictEqual(await add("six", 2), "2|hello|letter");
});

root("what the application has made in its namespace is refused, and it runs on", async () => {
  await using stage = await Stage.open();
  if (await hasNoIp()) return;
  const script = "ip route add blackhole 10.9.8.0/24 && echo ready; sleep 1000";
  await stage.stasis("run", "-d", "--name", "router", "--network", "none", "--", "sh", "-c", script);
  await until("it run", async () => (await stage.logs("router")).includes("ready") || undefined);
  const { code, stderr } = await stage.attempt("snapshot", "router");
  strictEqual(code, 11, stderr);
  match(stderr, /the application has made routes there/);
  strictEqual((await stage.application("router")).state, "running");
});

Deno.test("an ordinary user's application has a network of its own as well", async () => {
  await using stage = await Stage.openForOrdinaryUser();
  const { start, add } = await pair(stage);
  const refused = await stage.attempt("run", "--network", "none", "--", "true");
  if (refused.code === 12 || refused.code === 13) return console.log(`skipping: ${refused.stderr}`);
  for (const name of ["one", "two"]) await start(name, "--network", "none");
  strictEqual(await add("one", 1), "1|hello|letter");
  await stage.roundTrip("one");
  strictEqual(await add("one", 10), "11|hello|letter");
  await stage.roundTrip("two");
  strictEqual(await add("two", 5), "5|hello|letter");
});

root("where no namespace can be had, the error says why, and nothing is left", async () => {
  await using stage = await Stage.open();
  const none = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"';
  stage.within = ["unshare", "--user", "--map-root-user", "sh", "-c", none, "sh"];
  const { code, stderr } = await stage.attempt("run", "--network", "none", "--", "true");
  strictEqual(code, 12, stderr);
  match(stderr, /no more network namespaces may be made here/);
  strictEqual(await stage.stasis("ps", "-q"), "");
});
