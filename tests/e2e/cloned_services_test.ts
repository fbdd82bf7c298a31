/** Real services, warmed up and cloned: a hundred JVMs, a hundred Pythons with numpy, twenty PostgreSQL servers with their data. */

// Runs alone: it keeps both processors busy by itself, and needs gigabytes of memory.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { NetworkHost } from "./stage/network_host.ts";
import { must, Stage, until } from "./stage/stage.ts";

const PROGRAMS = fileURLToPath(new URL("programs", import.meta.url));
const SERVICES = 100;
const DATABASES = 20;

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

interface Made {
  name: string;
  aid: string;
}

/** What each address says that is asked at the same time as all others: host name, times asked, a sum. */
async function askAll(host: NetworkHost, count: number): Promise<string[][]> {
  const addresses = Array.from({ length: count }, (_, index) => `http://10.10.2.${index + 1}:8080/`);
  const parallel = ["--parallel", "--parallel-immediate", "--parallel-max", String(count)];
  const text = await host.must(
    "curl",
    "--silent",
    "--show-error",
    "--max-time",
    "120",
    ...parallel,
    ...addresses,
  );
  return text.trim().split("\n").map((line) => line.split(" "));
}

/** Starts a service, warms it up, and makes a hundred of it, which all answer at once on the port that each believes it owns. */
async function cloneService(host: NetworkHost, sum: string, ...argv: string[]): Promise<void> {
  const { stage } = host;
  await stage.stasis("vne", "create", "town", "--subnet", "10.10.2.0/24");
  await stage.stasis("run", "-d", "--name", "service", "--vne", "town", "--", ...argv);
  await until(
    "the service run",
    async () => (await stage.logs("service")).includes("ready") || undefined,
    60,
  );
  for (let round = 1; round <= 5; round++) deepStrictEqual((await askAll(host, 1))[0]?.[1], String(round));
  await stage.stasis("snapshot", "service", "--stop");
  await stage.stasis("rm", "service");
  await stage.stasis("template", "create", "service@latest", "--name", "service");
  await stage.stasis("template", "load", "service");
  const lines = await stage.stasis("clone", "service", "--count", String(SERVICES), "--json");
  const names = lines.split("\n").map((line): Made => JSON.parse(line)).map(({ name }) => name).sort();
  strictEqual(names.length, SERVICES);
  for (const times of ["6", "7"]) {
    const answers = await askAll(host, SERVICES);
    deepStrictEqual(answers.map(([name]) => name).sort(), names, "each has a name and an address of its own");
    ok(answers.every(([, asked]) => asked === times), "each counts for itself");
    ok(answers.every(([, , found]) => found === sum), "each has what the template had");
  }
  const ids = JSON.parse(await stage.stasis("ids", names[0] ?? "", "--json")) as {
    type: string;
    virtual: number;
  }[];
  ok(ids.some((row) => row.type === "port" && row.virtual === 8080));
}

Deno.test({
  name: `a hundred clones of a JVM service answer at once on one port${why}`,
  ignore,
  async fn() {
    await using host = await NetworkHost.open();
    const classes = `${host.stage.folder}/classes`;
    await must(["javac", "-d", classes, `${PROGRAMS}/Service.java`]);
    const options = ["-Xmx48m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];
    await cloneService(host, "1088890", "java", ...options, "-cp", classes, "Service");
  },
});

Deno.test({
  name: `a hundred clones of a Python program with numpy answer at once on one port${why}`,
  ignore,
  async fn() {
    await using host = await NetworkHost.open();
    await cloneService(host, "8796090925056", "/usr/bin/python3", `${PROGRAMS}/service.py`);
  },
});

const POSTGRES = `
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$1"
  exec setpriv --reuid postgres --regid postgres --init-groups sh "$0" "$1"
fi
"$bin/initdb" -D "$1/data" -A trust > /dev/null
exec "$bin/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c shared_buffers=32MB
`;

/** A server with its data folder as a volume, and its socket in there. */
class Database {
  constructor(readonly stage: Stage, readonly folder: string) {}

  static async start(stage: Stage): Promise<Database> {
    const folder = `${stage.folder}/cluster`;
    await Deno.mkdir(folder);
    const script = await stage.write("postgres.sh", POSTGRES);
    await stage.stasis("run", "-d", "--name", "db", "--volume", folder, "--", "sh", script, folder);
    const database = new Database(stage, folder);
    await until("the server", async () => (await database.run("db", "pg_isready")) || undefined, 60);
    return database;
  }

  /** Runs one of PostgreSQL's programs inside an application. */
  run(name: string, program: string, ...args: string[]): Promise<string> {
    const words =
      `exec $(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/${program} -U postgres -h ${this.folder} "$@"`;
    return this.stage.stasis("exec", name, "--", "sh", "-c", words, "-", ...args);
  }

  ask(name: string, sql: string): Promise<string> {
    return this.run(name, "psql", "-d", "postgres", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql);
  }
}

const ACCOUNTS = "select sum(abalance) || ' of ' || count(*) from pgbench_accounts";

Deno.test("twenty clones of a warm PostgreSQL each take writes of their own, and each is sound", async () => {
  await using stage = await Stage.open();
  const database = await Database.start(stage);
  await database.run("db", "pgbench", "-q", "-i", "-s", "2", "postgres");
  await database.run("db", "pgbench", "-n", "-T", "2", "-c", "2", "postgres");
  await database.ask("db", "create extension amcheck; create table mine (clone text primary key)");
  const accounts = await database.ask("db", ACCOUNTS);
  await stage.stasis("snapshot", "db", "--stop");
  await stage.stasis("rm", "db");
  await stage.stasis("template", "create", "db@latest", "--name", "db");
  await stage.stasis("template", "load", "db");
  const lines = await stage.stasis("clone", "db", "--count", String(DATABASES), "--json");
  const names = lines.split("\n").map((line): Made => JSON.parse(line)).map(({ name }) => name);
  strictEqual(names.length, DATABASES);
  for (const name of names) {
    await database.ask(
      name,
      `insert into mine values ('${name}'); update pgbench_tellers set filler = '${name}'`,
    );
  }
  const told = `select (select string_agg(clone, ',') from mine),
    (select string_agg(distinct trim(filler), ',') from pgbench_tellers), (${ACCOUNTS})`;
  for (const name of names) {
    strictEqual(await database.ask(name, told), `${name}|${name}|${accounts}`, "none sees another's rows");
  }
  for (const name of names) await database.run(name, "pg_amcheck", "--heapallindexed", "postgres");
  const first = names[0] ?? "";
  await database.ask(first, "checkpoint");
  await stage.roundTrip(first);
  strictEqual(await database.ask(first, "select * from mine"), first, "a clone comes back with its own data");
});
