/** What the applications of the scenario are told. */

/** An nginx of one process that serves files, and what `gateway` serves under /goods. */
export function webSite(folder: string, gateway: boolean): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")}
  server {
    listen 80;
    root ${folder}/www;
    ${gateway ? "location /goods { proxy_pass http://127.0.0.1:8000; }" : ""}
  }
}
`;
}

/** A cluster in a folder of its own, with one table, which whoever reaches it may read. */
export const DATABASE = `
set -e
cluster=$1 bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$cluster"
  exec setpriv --reuid postgres --regid postgres --init-groups sh "$0" "$cluster"
fi
"$bin/initdb" -D "$cluster/data" -A trust -N > /dev/null
echo "host all all 10.10.2.0/24 trust" >> "$cluster/data/pg_hba.conf"
echo "create table goods as select generate_series(1, 1000) as n" |
  "$bin/postgres" --single -D "$cluster/data" postgres > /dev/null
exec "$bin/postgres" -D "$cluster/data" -k "$cluster" -c listen_addresses='*' -c fsync=off
`;

export const ROWS = 1_000_000;
const WIDTH = 200;

/** One session, in which a table comes that is computed while it is sent. */
export const SESSION = [
  "select pg_backend_pid()",
  `copy (select n || repeat('x', ${WIDTH}) from generate_series(1, ${ROWS}) n) to stdout`,
  "select pg_backend_pid()",
];

/** What comes in it, piece by piece. */
export function* expected(session: string): Generator<string> {
  const rest = `${"x".repeat(WIDTH)}\n`;
  yield `${session}\n`;
  for (let first = 1; first <= ROWS; first += 1000) {
    yield Array.from({ length: 1000 }, (_, index) => `${first + index}${rest}`).join("");
  }
  yield `${session}\n`;
}
