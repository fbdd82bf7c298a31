/** The rules of docs/examples with the programs that they are for, at paths and ports of the test's. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { freePort, must, Stage, until } from "./stage/stage.ts";

/** The text of an example with other paths and ports. */
async function example(name: string, changes: readonly [string, string][]): Promise<string> {
  const path = fileURLToPath(new URL(`../../docs/examples/${name}.toml`, import.meta.url));
  const text = await Deno.readTextFile(path);
  return changes.reduce((changed, [from, to]) => {
    ok(changed.includes(from), `the example says ${from}`);
    return changed.replaceAll(from, to);
  }, text);
}

async function template(stage: Stage, name: string, rules: string): Promise<void> {
  const file = await stage.write(`${name}.toml`, rules);
  await stage.stasis("snapshot", name, "--stop");
  await stage.stasis("template", "check", "--rules", file);
  await stage.stasis("template", "create", `${name}@latest`, "--name", name, "--rules", file);
}

Deno.test("three redis clones have a folder, a log and a port each", async () => {
  await using stage = await Stage.open();
  const { folder } = stage;
  const port = freePort(4);
  for (const name of ["data", "clones"]) await Deno.mkdir(`${folder}/${name}`);
  const settings = [`port ${port}`, `dir ${folder}/data`, `logfile ${folder}/redis.log`];
  const conf = await stage.write(
    "redis.conf",
    [...settings, `pidfile ${folder}/redis.pid`, ""].join("\n"),
  );
  await stage.write("redis.pid", "0\n");
  await stage.run("redis", "redis-server", conf, "--daemonize", "no");
  const redis = (at: number, ...words: string[]) => must(["redis-cli", "-p", String(port + at), ...words]);
  await until("redis answer", async () => (await redis(0, "ping")) === "PONG" || undefined);
  await redis(0, "set", "who", "template");
  const rules = await example("redis", [
    ["/etc/redis/redis.conf", conf],
    ["/var/lib/redis-clones", `${folder}/clones`],
    ["/var/lib/redis", `${folder}/data`],
    ["/var/log/redis/redis-server.log", `${folder}/redis.log`],
    ["/run/redis/redis-server.pid", `${folder}/redis.pid`],
    ["16379", String(port)],
    ["6379 =", `${port} =`],
  ]);
  await template(stage, "redis", rules);
  const log = await Deno.readTextFile(`${folder}/redis.log`);
  await stage.stasis("clone", "redis", "--count", "3");
  for (const n of [1, 2, 3]) {
    strictEqual(await redis(n, "get", "who"), "template");
    await redis(n, "set", "who", `clone ${n}`);
    await redis(n, "save");
  }
  for (const n of [1, 2, 3]) {
    strictEqual(await redis(n, "get", "who"), `clone ${n}`);
    const saved = await Deno.readFile(`${folder}/clones/redis-${n}/dump.rdb`);
    match(new TextDecoder("latin1").decode(saved), new RegExp(`clone ${n}`));
    const own = await stage.stasis("exec", `redis-${n}`, "--", "cat", `${folder}/redis.log`, conf);
    match(own, /DB saved on disk/);
    match(own, new RegExp(`^port ${port + n}$`, "m"));
    ok(!own.includes("Server initialized"), "the clone's log begins with the clone");
  }
  strictEqual(await Deno.readTextFile(`${folder}/redis.log`), log);
  deepStrictEqual([...Deno.readDirSync(`${folder}/data`)].map(({ name }) => name), []);
});

Deno.test("three nginx clones serve on a port each, with a header of their own, and log for themselves", async () => {
  await using stage = await Stage.open();
  const { folder } = stage;
  const port = freePort(4);
  await Deno.mkdir(`${folder}/www`);
  await stage.write("www/index.html", "served\n");
  const conf = await stage.write("nginx.conf", configure(folder, port));
  await stage.run("nginx", "nginx", "-c", conf, "-g", "daemon off;");
  const get = (at: number) => fetch(`http://127.0.0.1:${port + at}/index.html`);
  await until("nginx serve", async () => (await (await get(0)).text()) === "served\n" || undefined);
  const rules = await example("nginx", [
    ["/etc/nginx/nginx.conf", conf],
    ["/var/log/nginx/", `${folder}/`],
    ["/run/nginx.pid", `${folder}/nginx.pid`],
    ["18080", String(port)],
    ["80 =", `${port} =`],
  ]);
  await template(stage, "nginx", rules);
  const log = await Deno.readTextFile(`${folder}/access.log`);
  await stage.stasis("clone", "nginx", "--count", "3");
  for (const n of [1, 2, 3]) {
    await until(`clone ${n} serve with its header`, async () => {
      const answer = await get(n);
      return (await answer.text()) === "served\n" && answer.headers.get("X-Served-By") === `nginx-${n}`;
    });
    const words = ["exec", `nginx-${n}`, "--", "cat", `${folder}/access.log`];
    match(await until("the log be written", () => stage.stasis(...words)), /GET \/index.html/);
  }
  strictEqual(await Deno.readTextFile(`${folder}/access.log`), log, "the original's log is untouched");
});

function configure(folder: string, port: number): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
worker_processes 2;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  access_log ${folder}/access.log;
  ${temporary.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")}
  server { listen 127.0.0.1:${port}; root ${folder}/www; }
}
`;
}
