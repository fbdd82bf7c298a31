/** nginx, a master and two workers, over TCP. */

import { notStrictEqual, strictEqual } from "node:assert/strict";
import { freePort, must, Stage, until } from "./stage/stage.ts";

Deno.test("nginx serves after a restore, and a reload still replaces its workers", async () => {
  await using stage = await Stage.open();
  const port = freePort();
  await Deno.mkdir(`${stage.folder}/www`);
  await stage.write("www/index.html", "served\n");
  const configuration = await stage.write("nginx.conf", configure(stage.folder, port));
  await stage.run("nginx", "nginx", "-c", configuration, "-g", "daemon off;");
  const get = async () => (await (await fetch(`http://127.0.0.1:${port}/index.html`)).text()).trim();
  await until("nginx serve", async () => (await get()) === "served" || undefined);
  await stage.roundTrip("nginx");
  for (let request = 0; request < 50; request++) strictEqual(await get(), "served");

  const { pid } = await stage.application("nginx");
  const workers = async () => (await must(["pgrep", "-P", String(pid)])).split("\n").sort().join(" ");
  const before = await workers();
  strictEqual(before.split(" ").length, 2);
  await stage.stasis("kill", "-s", "HUP", "nginx");
  await until("new workers", async () => {
    const now = await workers();
    return (now !== before && now.split(" ").length === 2) || undefined;
  });
  notStrictEqual(await workers(), before);
  strictEqual(await get(), "served");
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
