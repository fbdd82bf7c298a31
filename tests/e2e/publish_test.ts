/** Ports of the host that lead to applications in virtual network environments. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { until } from "./stage/stage.ts";
import { Town } from "./stage/town.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

/** A port that the host's program has until it is killed. */
const LISTENER = `
import socket, sys
server = socket.create_server(("127.0.0.1", 18080))
print("ready", flush=True)
sys.stdin.read()
`;

interface Row {
  type: string;
  virtual: number;
  system: number;
  backend: string;
}

/** The ports of the host that lead to an application, as `ps` has them. */
async function hostPorts(town: Town, name: string): Promise<number[]> {
  const applications: { name: string; state: string; network: Network }[] = JSON.parse(
    await town.stasis("ps", "--json"),
  );
  const one = applications.find((app) => app.name === name && app.state === "running");
  return (one?.network.own.links[0]?.published ?? []).map(({ host }) => host);
}

interface Network {
  own: { links: { published?: { host: number }[] }[] };
}

function publishedTables(tables: readonly string[]): string[] {
  return tables.filter((one) => /stasis-(tcp|udp)-/.test(one));
}

Deno.test({
  name: `a port of the host leads to an application, and ends with it${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64");
    await town.serve("web", "shop", "--publish", "18080:80", "--publish", "80");
    strictEqual(await town.hear("127.0.0.1", 18080), "web 1");
    strictEqual(await town.hear("169.254.77.1", 18080), "web 2");
    strictEqual(await town.hear("fd73:7461:7369:ffff::1", 18080), "web 3");
    deepStrictEqual(await hostPorts(town, "web"), [18080, 20000]);
    strictEqual(await town.hear("127.0.0.1", 20000), "web 4");
    const rows: Row[] = JSON.parse(await town.stasis("ids", "web", "--json"));
    const { virtual, system, backend } = rows.find((row) => row.type === "port") as Row;
    deepStrictEqual([virtual, system, backend], [80, 18080, "translate"]);

    const refused = await town.host.stage.attempt(
      ...["run", "-d", "--name", "other", "--vne", "shop", "--publish", "18080:80", "--", "sleep", "60"],
    );
    strictEqual(refused.code, 1);
    match(refused.stderr, /18080 of this host is taken: it leads to the application "web"/);

    await town.stasis("kill", "web");
    await town.stasis("wait", "web");
    await until("the ports be free", async () => {
      return publishedTables(await town.host.tables()).length === 0 || undefined;
    });
    const [program = "", ...args] = [...town.host.stage.within, "python3", "-c", LISTENER];
    const own = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
    await own.stdout.getReader().read();
    const busy = await town.host.stage.attempt(
      ...["run", "-d", "--name", "other", "--vne", "shop", "--publish", "18080:80", "--", "sleep", "60"],
    );
    match(busy.stderr, /18080 of this host is taken: a program listens on it/);
    const failed = await town.host.stage.attempt(
      "run",
      "-d",
      "--vne",
      "shop",
      "--publish",
      "80",
      "--",
      "/no",
    );
    ok(failed.code !== 0);
    deepStrictEqual(publishedTables(await town.host.tables()), []);
    await own.stdin.close();
    await own.status;
    await town.serve("other", "shop", "--publish", "18080:80");
    strictEqual(await town.hear("127.0.0.1", 18080), "other 1");
  },
});

Deno.test({
  name: `published ports come back with an application, and stay through a rollback${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await town.serve("web", "shop", "--publish", "80");
    strictEqual(await town.hear("127.0.0.1", 20000), "web 1");
    const id = await town.stasis("snapshot", "web", "-q");
    strictEqual(await town.hear("127.0.0.1", 20000), "web 2");
    await town.stasis("rollback", "web", id);
    strictEqual(await town.hear("127.0.0.1", 20000), "web 2", "it went back, at the same port");
    deepStrictEqual(await hostPorts(town, "web"), [20000]);

    await town.stasis("kill", "web");
    await town.stasis("wait", "web");
    await town.stasis("restore", id, "-d");
    strictEqual(await town.hear("127.0.0.1", 20000), "web 2");
    await town.stasis("kill", "web");
    await town.stasis("wait", "web");

    await town.serve("other", "shop", "--publish", "20000:80");
    const { stderr, code } = await town.host.stage.attempt("restore", id, "-d");
    strictEqual(code, 0, stderr);
    match(stderr, /note: port 20001 of this host leads to its tcp port 80: 20000 is taken/);
    strictEqual(await town.hear("127.0.0.1", 20001), "web 2");
    strictEqual(await town.hear("127.0.0.1", 20000), "other 1");
  },
});

Deno.test({
  name: `an application that cannot go back has its link and its published port still${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    const file = await town.host.stage.write("held", "text");
    const command = `exec 9<${file}; exec python3 ${town.server} web`;
    const own = ["-d", "--name", "web", "--vne", "shop", "--publish", "18080:80"];
    await town.stasis("run", ...own, "--", "sh", "-c", command);
    await town.awaken("web");
    strictEqual(await town.hear("127.0.0.1", 18080), "web 1");
    const id = await town.stasis("snapshot", "web", "-q");
    await Deno.remove(file);
    const { code, stderr } = await town.host.stage.attempt("rollback", "web", id);
    ok(code !== 0);
    match(stderr, /runs on as it was, unharmed/);
    strictEqual(await town.hear("127.0.0.1", 18080), "web 2");
    strictEqual(await town.hear("10.10.2.1"), "web 3");
  },
});

Deno.test({
  name: `clones publish the same port, each at a port of the host of its own${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    await town.create("lab", "--subnet", "10.10.3.0/24");
    await town.serve("web", "shop");
    strictEqual(await town.hear("10.10.2.1"), "web 1");
    const id = await town.stasis("snapshot", "web", "-q");
    const rules = await town.host.stage.write(
      "rules.toml",
      'vne = "lab"\naddress = "10.10.3.{n + 10}"\npublish = ["{n + 18000}:80"]\n',
    );
    await town.stasis("template", "create", id, "--name", "web", "--rules", rules);
    await town.stasis("clone", "web", "--count", "3", "--name", "ruled");
    for (const number of [1, 2, 3]) {
      strictEqual(await town.hear("127.0.0.1", 18000 + number), "web 2");
      strictEqual(await town.hear(`10.10.3.${10 + number}`), "web 3");
    }
    await town.stasis("clone", "web", "--count", "3", "--name", "free", "--vne", "shop", "--publish", "80");
    const found = await Promise.all([1, 2, 3].map((number) => hostPorts(town, `free-${number}`)));
    deepStrictEqual(found.flat().sort(), [20000, 20001, 20002]);
    for (const port of found.flat()) strictEqual(await town.hear("127.0.0.1", port), "web 2");
    await town.stasis("branch", "ruled-1");
    strictEqual(await town.hear("127.0.0.1", 18001), "web 4", "the original keeps address and port");
  },
});
