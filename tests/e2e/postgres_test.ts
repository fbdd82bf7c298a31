/** PostgreSQL with a client's session open over its UNIX socket, server and client being one application. */

import { ok, strictEqual } from "node:assert/strict";
import { must, Stage, until } from "./stage/stage.ts";

const SCRIPT = `
set -e
data=$1/data; sockets=$1
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$1/cluster"
  exec setpriv --reuid postgres --regid postgres --init-groups sh "$0" "$1/cluster"
fi
"$bin/initdb" -D "$data" -A trust -N > /dev/null
"$bin/postgres" -D "$data" -k "$sockets" -c listen_addresses= -c fsync=off &
until "$bin/pg_isready" -q -h "$sockets"; do sleep 0.1; done
mkfifo "$sockets/questions"
exec 9<> "$sockets/questions"
exec "$bin/psql" -h "$sockets" -d postgres -At < "$sockets/questions"
`;

Deno.test("PostgreSQL and a client in the middle of its session go on together", async () => {
  await using stage = await Stage.open();
  await Deno.mkdir(`${stage.folder}/cluster`);
  const script = await stage.write("session.sh", SCRIPT);
  await stage.run("postgres", "sh", script, stage.folder);
  const pipe = `${stage.folder}/cluster/questions`;
  await until("the session", async () => (await Deno.stat(pipe)).isFifo || undefined, 60);
  const ask = (sql: string) => Deno.writeTextFile(pipe, `${sql}\n`, { create: false });
  const answers = (text: string) =>
    until(`the answer ${text}`, async () => (await stage.logs("postgres")).includes(text) || undefined);

  await ask("create temporary table mine as select generate_series(1, 1000) as n;");
  await ask("begin; insert into mine values (4711);");
  await ask("select 'before ' || count(*) from mine;");
  await answers("before 1001");
  await stage.roundTrip("postgres");
  // The temporary table and the open transaction live in the session alone.
  await ask("select 'after ' || count(*) from mine;");
  await answers("after 1001");
  await ask("rollback; select 'rolled back ' || count(*) from mine;");
  await answers("rolled back 1000");
  await ask(
    "create table kept as select generate_series(1, 100000) as n; select 'sum ' || sum(n) from kept;",
  );
  await answers("sum 5000050000");
  const { pid } = await stage.application("postgres");
  ok(pid !== undefined);
  strictEqual((await must(["pgrep", "-c", "-f", `${stage.folder}/cluster`])) !== "0", true);
});
