/** PostgreSQL, which keeps its memory under a System V key, comes back beside another one that has the same key. */

import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MODES } from "./ids/modes.ts";
import { IpcHost } from "./stage/ipc_host.ts";
import { until } from "./stage/stage.ts";

/**
 * A server in a file system of its own. The key is the inode number of the data folder, and the first folders of two new
 * file systems have the same. SysV memory for all of its buffers, not just for the lock on the folder.
 */
const SERVER = `
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
cd "$1"
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid postgres --regid postgres --init-groups "$@"; else "$@"; fi; }
if [ ! -e data/PG_VERSION ]; then as "$bin/initdb" -D data -A trust -N --no-instructions > /dev/null; fi
if [ "$(id -u)" = 0 ]; then set -- setpriv --reuid postgres --regid postgres --init-groups; else set --; fi
exec "$@" "$bin/postgres" -D data -k "$PWD" -c listen_addresses= -c fsync=off -c shared_buffers=4MB \
  -c shared_memory_type=sysv -c dynamic_shared_memory_type=sysv
`;

const MOUNT =
  'mount -t tmpfs stasis-test "$1" && mkdir -m 700 "$1/data" && chown -R postgres "$1" && stat -c %i "$1/data"';

/** Makes the file system of one server. Returns the key that its folder leads to. */
async function prepare(host: IpcHost, name: string): Promise<{ folder: string; key: string }> {
  const folder = `${host.stage.folder}/${name}`;
  await Deno.mkdir(folder);
  return { folder, key: await host.must("sh", "-c", MOUNT, "sh", folder) };
}

function query(host: IpcHost, folder: string, sql: string): Promise<string> {
  const psql =
    'exec "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/psql" -X -h "$1" -U postgres -d postgres -Atc "$2"';
  return host.must("sh", "-c", psql, "sh", folder, sql);
}

/** Key and id of its memory, as the server itself wrote them down. */
async function written(host: IpcHost, folder: string): Promise<string[]> {
  return (await host.must("sed", "-n", "7p", `${folder}/data/postmaster.pid`)).trim().split(/ +/);
}

/** Those that users choose: which interposition serves a server is left to the product. */
const CHOSEN = MODES.filter(({ options }) => !options.includes("--interpose"));

for (const mode of CHOSEN) {
  Deno.test({
    name: `PostgreSQL comes back beside another one with its key (${mode.name})` +
      (Deno.uid() === 0 ? "" : ": only root can mount the folders that make keys equal"),
    ignore: Deno.uid() !== 0,
    async fn() {
      await using host = await IpcHost.open({ mounts: true });
      const { stage } = host;
      const [mine, other] = [await prepare(host, "mine"), await prepare(host, "other")];
      strictEqual(mine.key, other.key);
      const script = await stage.write("server.sh", SERVER);
      await stage.stasis("run", "-d", "--name", "mine", ...mode.options, "--", "sh", script, mine.folder);
      await until("the first server", () => query(host, mine.folder, "select 1"), 60);
      await query(host, mine.folder, "create table kept as select generate_series(1, 1000) as n");
      const before = await written(host, mine.folder);
      deepStrictEqual(before[0], mine.key, "its key is that of its folder");
      await stage.stasis("snapshot", "mine", "--stop");
      await host.comesBackTo([]);

      await using server = new Server(host, script, other.folder);
      await until("the other server", () => query(host, other.folder, "select 1"), 60);
      const [key] = await written(host, other.folder);
      strictEqual(key, mine.key, "the other server has the very key");
      const taken = await host.objects();
      ok(taken.some((line) => line.endsWith(` ${key}`)), taken.join());

      await stage.stasis("restore", "mine@latest", "-d");
      strictEqual(await query(host, mine.folder, "select sum(n) from kept"), "500500");
      strictEqual(await query(host, other.folder, "select 2 * 21"), "42");
      // A new worker attaches memory by its id.
      const parallel = "set force_parallel_mode = on; select count(*) from kept";
      match(await query(host, mine.folder, parallel), /1000$/);
      deepStrictEqual(await written(host, mine.folder), before);
      strictEqual((await host.objects()).length > taken.length, mode.onHost);
      await stage.stasis("stop", "mine");
      await host.comesBackTo(taken);
      strictEqual(await query(host, other.folder, "select 'still ' || 42"), "still 42");
      notStrictEqual((await stage.application("mine")).state, "running");
      await server.stop();
    },
  });
}

/** A server that stasis did not start. */
class Server implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  constructor(host: IpcHost, script: string, folder: string) {
    const [program = "", ...args] = [...host.stage.within, "sh", script, folder];
    const output = { stdin: "null", stdout: "null", stderr: "null" } as const;
    this.#process = new Deno.Command(program, { args, ...output }).spawn();
  }

  /** Immediate shutdown: it removes its memory and waits for nobody. */
  async stop(): Promise<void> {
    try {
      this.#process.kill("SIGQUIT");
    } catch {
      // It has ended already.
    }
    await this.#process.status;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
