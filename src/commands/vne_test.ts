import { deepStrictEqual, doesNotMatch, match, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type {
  Application,
  CloneRequest,
  Inspection,
  Network,
  NetworkLink,
  PublishedPort,
  RestoreRequest,
  RunRequest,
} from "../../ffi/messages.ts";
import { publishedBy } from "../vne/publishing.ts";
import { type Answers, type Outcome, stasis } from "./workbench.ts";

const SNAPSHOT: Inspection = {
  format: 1,
  label: { id: "0123456789ab", name: "web" },
  host: {},
  own_shared_memory: true,
  own_network: true,
  shared_bytes: 0,
  unix_names: [],
  processes: [],
  sections: [],
  bytes: 1,
};

/** A home with environments, and an engine that starts whatever it is asked to. */
class Town implements Disposable {
  readonly base = Deno.makeTempDirSync();
  readonly apps: Application[] = [];
  readonly networks: (Network | undefined)[] = [];
  readonly environments: unknown[] = [];
  refusal: StasisError | undefined;
  saved: NetworkLink[] = [];

  readonly answers: Answers = {
    ps: () => ({ apps: this.apps }),
    inspect: () => ({ ...SNAPSHOT, links: this.saved }),
    ids: { rows: [] },
    verify: { ok: true, bytes: 1 },
    run: (request: RunRequest) => this.#live(request),
    restore: (request: RunRequest) => this.#live(request),
    clone: ({ restores }: CloneRequest) => ({
      outcomes: restores.map((one) => ({ made: this.#live(one) })),
    }),
    loaded: { templates: [] },
    names: () => ({ names: this.apps.filter((one) => one.state === "running").map((one) => one.name) }),
    make_environment: (request: unknown) => this.refusal ?? void this.environments.push(request),
    remove_environment: {},
    inspect_environment: { present: true, bridge: "st-000000", links: [], stopped: { spoofed: 3 } },
  };

  static async open(...subnets: string[]): Promise<Town> {
    const town = new Town();
    Deno.mkdirSync(`${town.base}/image`);
    const ranges = (subnets.length === 0 ? ["10.10.2.0/29"] : subnets).flatMap((one) => ["--subnet", one]);
    const { exit, fault } = await town.stasis("vne", "create", "shop", ...ranges);
    strictEqual(exit, 0, fault?.causes?.join());
    return town;
  }

  #live({ name = "", network = "host" }: Pick<RestoreRequest, "name" | "network">): unknown {
    if (this.refusal !== undefined) return this.refusal;
    this.networks.push(network);
    const aid = `aa00000000${this.apps.length + 10}`;
    this.apps.push({ aid, name, state: "running", started: "2026-01-01T00:00:00Z", command: [], network });
    return { aid, name, pid: 7, total_us: 900 };
  }

  stasis(...args: string[]): Promise<Outcome> {
    return stasis(args, this.answers, { cwd: this.base }, `${this.base}/data`);
  }

  run(vne: string): Promise<Outcome> {
    return this.stasis("run", "-d", "--vne", vne, "--", "web");
  }

  end(index: number): void {
    const application = this.apps[index];
    if (application !== undefined) application.state = "exited";
  }

  /** What applications got, in the order of their start. */
  get addresses(): (string[] | undefined)[] {
    return this.networks.map((network) =>
      network === undefined || network === "host" ? undefined : network.own.links?.[0]?.addresses
    );
  }

  /** The ports of the host that lead to each. */
  get published(): PublishedPort[][] {
    return this.networks.map((network) => network === undefined ? [] : publishedBy({ network }));
  }

  get claims(): unknown {
    return JSON.parse(Deno.readTextFileSync(`${this.base}/data/vne/shop/claims.json`));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.base, { recursive: true });
  }
}

Deno.test("an environment has the same id on every host, and ranges that nobody else has", async () => {
  using town = await Town.open("10.10.2.0/24", "fd73:7461:7369:2::/64");
  const [only] = JSON.parse((await town.stasis("vne", "ls", "--json")).stdout);
  const { created, ...rest } = only;
  match(created, /^20/);
  deepStrictEqual(rest, {
    name: "shop",
    id: only.id,
    subnets: ["10.10.2.0/24", "fd73:7461:7369:2::/64"],
    outside: false,
    members: 0,
  });
  match(only.id, /^[0-9a-f]{6}$/);
  const refusals: [args: string[], cause: RegExp][] = [
    [["shop", "--subnet", "10.10.3.0/24"], /one of this name/],
    [["bank", "--subnet", "10.10.2.128/25"], /"shop" has 10\.10\.2\.0\/24/],
    [["bank", "--subnet", "10.11.0.0/24"], /reserves 10\.10\.0\.0\/16/],
    [["bank", "--subnet", "10.10.3.0/24", "--subnet", "10.10.4.0/24"], /one range of IPv4/],
    [["bank", "--subnet", "fd73:7461:7369:ffff::/64"], /an address of its own/],
  ];
  for (const [args, cause] of refusals) {
    const { exit, fault } = await town.stasis("vne", "create", ...args);
    strictEqual(exit, 2);
    match(fault?.causes?.join() ?? "", cause);
  }
  strictEqual(town.environments.length, 1);
});

Deno.test("of an environment that the kernel refuses nothing is kept", async () => {
  using town = await Town.open();
  town.refusal = StasisError.of("not_permitted", "Could not make it");
  strictEqual((await town.stasis("vne", "create", "bank", "--subnet", "10.10.3.0/24")).exit, 13);
  strictEqual((await town.stasis("vne", "ls", "-q")).stdout, "shop\n");
});

Deno.test("other ranges can be reserved, as long as they hold the environments that are there", async () => {
  using town = await Town.open();
  strictEqual((await town.stasis("vne", "ranges", "10.20.0.0/16")).exit, 2);
  strictEqual((await town.stasis("vne", "ranges", "10.0.0.0/12")).exit, 0);
  strictEqual((await town.stasis("vne", "ranges")).stdout, "10.0.0.0/12\n");
  strictEqual((await town.stasis("vne", "create", "bank", "--subnet", "10.11.0.0/24")).exit, 0);
});

Deno.test("applications get the next free address, or the one that is asked for", async () => {
  using town = await Town.open("10.10.2.0/29", "fd73:7461:7369:2::/64");
  await town.run("shop");
  await town.run("shop=10.10.2.4");
  await town.run("shop=fd73:7461:7369:2::2");
  await town.run("shop");
  deepStrictEqual(town.addresses, [
    ["10.10.2.1", "fd73:7461:7369:2::1"],
    ["10.10.2.4", "fd73:7461:7369:2::4"],
    ["10.10.2.2", "fd73:7461:7369:2::2"],
    ["10.10.2.3", "fd73:7461:7369:2::3"],
  ]);
  deepStrictEqual(town.claims, []);
  const taken = await town.run("shop=10.10.2.4");
  match(taken.fault?.causes?.join() ?? "", /the application "web-2" has it/);
  for (const wrong of ["10.10.2.0", "10.10.2.7", "10.10.3.1", "x", ""]) {
    strictEqual((await town.run(`shop=${wrong}`)).exit, 2, wrong);
  }
  strictEqual((await town.run("nowhere")).exit, 10);
  strictEqual((await town.stasis("run", "-d", "--vne", "shop", "--network", "none", "--", "web")).exit, 2);
});

Deno.test("an ended application keeps its address until it is needed or asked for", async () => {
  using town = await Town.open("10.10.2.0/30");
  await town.run("shop");
  town.end(0);
  await town.run("shop");
  await town.run("shop");
  strictEqual((await town.run("shop")).exit, 2);
  deepStrictEqual(town.addresses, [["10.10.2.1"], ["10.10.2.2"], ["10.10.2.1"]]);
});

Deno.test("an application that cannot be started leaves no claim", async () => {
  using town = await Town.open();
  town.refusal = StasisError.of("other", "Could not run it");
  strictEqual((await town.run("shop")).exit, 1);
  deepStrictEqual(town.claims, []);
});

Deno.test("what another command claims is not given away, unless that has died", async () => {
  using town = await Town.open();
  const started = (pid: number) => Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]?.split(" ")[19];
  const claims = [{ number: 1, pid: 1, started: started(1) }, { number: 2, pid: 1, started: "0" }];
  Deno.writeTextFileSync(`${town.base}/data/vne/shop/claims.json`, JSON.stringify(claims));
  await town.run("shop");
  deepStrictEqual(town.addresses, [["10.10.2.2"]]);
  strictEqual((await town.run("shop=10.10.2.1")).exit, 2);
  town.end(0);
  match((await town.stasis("vne", "rm", "shop")).fault?.causes?.join() ?? "", /another command/);
});

Deno.test("a restored application has the address that it had", async () => {
  using town = await Town.open();
  await town.run("shop=10.10.2.3");
  const [network] = town.networks;
  town.saved = network === undefined || network === "host" ? [] : network.own.links ?? [];
  const restore = (...args: string[]) => town.stasis("restore", "-d", ...args, "./image");
  const busy = await restore();
  match(busy.fault?.causes?.join() ?? "", /the application "web" has it/);
  await restore("--vne", "shop");
  town.end(0);
  await restore();
  await restore("--network", "none");
  deepStrictEqual(town.addresses, [["10.10.2.3"], ["10.10.2.1"], ["10.10.2.3"], undefined]);
  town.apps.splice(0);
  strictEqual((await town.stasis("vne", "rm", "shop")).exit, 0);
  const gone = await restore();
  strictEqual(gone.exit, 10);
  match(gone.fault?.hint ?? "", /stasis vne create shop --subnet 10\.10\.2\.0\/29/);
});

Deno.test("each clone has an address of its own, in the environment of the snapshot where none is named", async () => {
  using town = await Town.open("10.10.2.0/24");
  await town.stasis("template", "create", `${town.base}/image`, "--name", "t");
  await town.run("shop");
  await town.stasis("clone", "t", "--count", "2", "--vne", "shop=10.10.2.9");
  const [network] = town.networks;
  town.saved = network === undefined || network === "host" ? [] : network.own.links ?? [];
  await town.stasis("template", "create", `${town.base}/image`, "--name", "joined");
  await town.stasis("clone", "joined", "--count", "2");
  deepStrictEqual(town.addresses.flat(), ["10.10.2.1", "10.10.2.9", "10.10.2.10", "10.10.2.2", "10.10.2.3"]);
  deepStrictEqual(town.claims, []);
});

Deno.test("ports of the host lead to applications, and come back with them", async () => {
  using town = await Town.open();
  const run = (...ports: string[]) =>
    town.stasis("run", "-d", "--vne", "shop", ...ports.flatMap((one) => ["--publish", one]), "--", "web");
  const { stderr } = await run("18080:80", "18053:53/udp");
  match(stderr, /Port 18080 of this host leads to its tcp port 80/);
  const published = [{ protocol: "tcp", port: 80, host: 18080 }, { protocol: "udp", port: 53, host: 18053 }];
  deepStrictEqual(town.published, [published]);
  match((await run("18080:81")).fault?.causes?.join() ?? "", /leads to the application "web"/);
  strictEqual((await run("x")).exit, 2);
  strictEqual((await town.stasis("run", "-d", "--publish", "80", "--", "web")).exit, 2);
  deepStrictEqual(town.claims, []);
  const [network] = town.networks;
  town.saved = network === undefined || network === "host" ? [] : network.own.links ?? [];
  const restore = (...args: string[]) => town.stasis("restore", "-d", "--vne", "shop", ...args, "./image");
  strictEqual((await restore()).exit, 1);
  await restore("--publish", "80");
  town.end(0);
  await restore();
  await town.stasis("restore", "-d", "--network", "none", "./image");
  deepStrictEqual(town.published.slice(1), [
    [{ protocol: "tcp", port: 80, host: 0, auto: true }],
    published,
    [],
  ]);
});

Deno.test("rules name the environment of clones, their addresses, and ports of the host that lead there", async () => {
  using town = await Town.open("10.10.2.0/24");
  const rules = `
vne = "{where}"
address = "10.10.2.{n + 10}"
publish = ["{n + 18000}:80", "53/udp"]
hostname = "at-{address}"
[variables]
where = "shop"
`;
  Deno.writeTextFileSync(`${town.base}/rules.toml`, rules);
  const created = await town.stasis("template", "create", "./image", "--name", "t", "--rules", "rules.toml");
  strictEqual(created.exit, 0, created.fault?.causes?.join());
  const shown = await town.stasis("template", "check", "t");
  match(shown.stdout, /shop[^]*10\.10\.2\.11[^]*18001 -> 80 \(tcp\)[^]*any -> 53 \(udp\)/);
  const { exit, engine, fault } = await town.stasis("clone", "t", "--count", "2");
  strictEqual(exit, 0, fault?.causes?.join());
  const { restores } = engine.request("clone") as CloneRequest;
  deepStrictEqual(restores.map(({ hostname }) => hostname), ["at-10.10.2.11", "at-10.10.2.12"]);
  deepStrictEqual(town.addresses, [["10.10.2.11"], ["10.10.2.12"]]);
  deepStrictEqual(town.published.map((ports) => ports.map(({ host }) => host)), [[18001, 0], [18002, 0]]);
  const again = await town.stasis("clone", "t");
  match(again.fault?.causes?.join() ?? "", /10\.10\.2\.13|the application/);
  strictEqual((await town.stasis("clone", "t", "--set", "where=nowhere")).exit, 10);
  const named = await town.stasis("clone", "t", "--name", "x", "--vne", "shop=10.10.2.40", "--publish", "80");
  strictEqual(named.exit, 0, "the command line goes before the rules");
  deepStrictEqual(town.addresses.at(-1), ["10.10.2.40"]);
  deepStrictEqual(town.published.at(-1)?.length, 1);
});

Deno.test("an environment is shown with its members, and removed when none runs", async () => {
  using town = await Town.open();
  await town.run("shop");
  match(
    (await town.stasis("vne", "show", "shop")).stdout,
    /3 with a false sender[^]*web +running +10\.10\.2\.1/,
  );
  const { fault, exit } = await town.stasis("vne", "rm", "shop");
  strictEqual(exit, 1);
  match(fault?.causes?.join() ?? "", /"web"/);
  strictEqual((await town.stasis("vne", "rm", "--force", "shop")).exit, 0);
  strictEqual((await town.stasis("vne", "show", "shop")).exit, 10);
});

Deno.test("all environments are shown where none is named, with the ports that lead to their members", async () => {
  using town = await Town.open();
  await town.stasis("vne", "create", "bank", "--subnet", "10.10.3.0/24");
  await town.stasis(
    "run",
    "-d",
    "--vne",
    "bank",
    "--publish",
    "18080:80",
    "--publish",
    "20000:53/udp",
    "--",
    "x",
  );
  const both = JSON.parse((await town.stasis("vne", "show", "--json")).stdout);
  deepStrictEqual(both.map((one: { name: string }) => one.name), ["bank", "shop"]);
  deepStrictEqual(both[0].members[0].published.map((one: PublishedPort) => one.host), [18_080, 20_000]);
  match((await town.stasis("vne", "show", "bank")).stdout, /18080:80 20000:53\/udp/);
  town.end(0);
  doesNotMatch((await town.stasis("vne", "show", "bank")).stdout, /18080/);
  strictEqual((await town.stasis("vne", "show", "shop", "nowhere")).exit, 10);
});

Deno.test("environments are drawn into a file, or to standard output", async () => {
  using town = await Town.open();
  await town.run("shop");
  await town.stasis("vne", "create", "bank", "--subnet", "10.10.3.0/24", "--outside", "allow");
  const drawn = await town.stasis("vne", "show", "--svg", "town.svg");
  strictEqual(drawn.exit, 0, drawn.fault?.causes?.join());
  strictEqual(drawn.stdout, "");
  const text = Deno.readTextFileSync(`${town.base}/town.svg`);
  for (const word of ["<svg ", ">shop<", ">bank<", ">10.10.2.1<", ">outside<", "this host"]) {
    strictEqual(text.includes(word), true, word);
  }
  const one = await town.stasis("vne", "show", "shop", "--svg", "-", "--json");
  strictEqual(one.stdout.startsWith("<svg "), true);
  strictEqual(one.stdout.includes("bank"), false);
  strictEqual((await town.stasis("vne", "show", "--svg", "nowhere/town.svg")).exit, 1);
});
