/**
 * The scenario of the literature: one web site on a computer of its own; another one, whose database is on a third computer and moves
 * to the first, while a client reads from it.
 */

import { ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { Land } from "./stage/land.ts";
import { until } from "./stage/stage.ts";
import type { Town } from "./stage/town.ts";
import { DATABASE, expected, SESSION, webSite } from "./scenario/texts.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";
const programs = fileURLToPath(new URL("scenario", import.meta.url));

/** Bytes for each second that the client takes while the database moves: the whole would take minutes. */
const PACE = 1_000_000;

Deno.test({
  name: `a database moves to another computer while a client of its web site reads from it${why}`,
  ignore,
  async fn() {
    await using land = await Land.open(3);
    const [first, second, third] = [land.town("a"), land.town("b"), land.town("c")];
    await first.create("vne1", "--subnet", "10.10.0.1/32");
    await land.create("vne2", ["b", "c"], "--subnet", "10.10.2.0/24");
    await startWebSite(first, "site1", "vne1");
    await startDatabase(third);
    await startWebSite(second, "site2", "vne2", "app2");

    strictEqual(await get(first, "site1", "10.10.0.1/"), "welcome to site1");
    strictEqual(
      await get(second, "site2", "127.0.0.1/goods"),
      "goods 1000",
      "a web site talks to its database",
    );
    const [site2 = "", app2 = ""] = [await addressOf(second, "site2"), await addressOf(third, "app2")];
    await nobodyCrosses(first, second, [site2, app2]);

    const progress = `${second.host.stage.folder}/progress`;
    await startClient(second, progress);
    await until("the client read", async () => await taken(progress) > 2_000_000 || undefined);
    const folder = `${third.host.stage.folder}/app2`;
    await third.stasis("snapshot", "app2", "--stop", "--out", folder);
    await first.stasis("restore", folder, "-d");
    const then = await taken(progress);
    await until("the client read on", async () => await taken(progress) > then || undefined);
    await Deno.writeTextFile(`${progress}.on`, "");
    const end = await until("the end", async () => {
      return /^\d+ bytes, \w+$/m.exec(await second.stasis("logs", "client"))?.[0];
    }, 120);
    const [session = ""] = (await Deno.readTextFile(`${progress}.session`)).split("\n");
    strictEqual(end, sumOf(session));
    ok(then < Number(end.split(" ")[0]), "it was under way while the database moved");

    strictEqual(await addressOf(first, "app2"), app2, "the address has come along");
    strictEqual(await get(second, "site2", "127.0.0.1/goods"), "goods 1000", "the web site finds it there");
    await nobodyCrosses(first, second, [site2, app2]);
  },
});

async function startWebSite(town: Town, name: string, vne: string, database?: string): Promise<void> {
  const { stage } = town.host;
  const folder = `${stage.folder}/${name}`;
  await Deno.mkdir(`${folder}/www`, { recursive: true });
  await stage.write(`${name}/www/index.html`, `welcome to ${name}\n`);
  const configuration = await stage.write(`${name}/nginx.conf`, webSite(folder, database !== undefined));
  const gateway = database === undefined ? "" : `python3 ${programs}/gateway.py ${database} & `;
  const command = `${gateway}exec nginx -c ${configuration}`;
  await town.stasis("run", "-d", "--name", name, "--vne", vne, "--", "sh", "-c", command);
  await until(`${name} serve`, async () => await get(town, name, "127.0.0.1/") !== undefined || undefined);
}

async function startDatabase(town: Town): Promise<void> {
  const { stage } = town.host;
  const cluster = `${stage.folder}/cluster`;
  await Deno.mkdir(cluster);
  const script = await stage.write("database.sh", DATABASE);
  const own = ["-d", "--name", "app2", "--vne", "vne2", "--volume", cluster];
  await town.stasis("run", ...own, "--", "sh", script, cluster);
  await until(
    "the database",
    async () => (await town.stasis("logs", "app2")).includes("ready to accept connections") || undefined,
    60,
  );
}

/** psql, and who reads what it gets. The first line is kept by itself. */
async function startClient(town: Town, progress: string): Promise<void> {
  const words = SESSION.map((sql) => `-c "${sql}"`).join(" ");
  const client =
    `psql -h app2 -U postgres -At ${words} | tee >(head -n 1 > ${progress}.session; cat > /dev/null) | ` +
    `python3 ${programs}/meter.py ${progress} ${PACE}`;
  await town.stasis("run", "-d", "--name", "client", "--vne", "vne2", "--", "bash", "-c", client);
}

async function taken(progress: string): Promise<number> {
  return Number(await Deno.readTextFile(progress).catch(() => "0"));
}

function sumOf(session: string): string {
  const sum = createHash("md5");
  let bytes = 0;
  for (const part of expected(session)) {
    bytes += part.length;
    sum.update(part);
  }
  return `${bytes} bytes, ${sum.digest("hex")}`;
}

/** What a program of an application gets from a web site; undefined where nobody answers. */
async function get(town: Town, application: string, place: string): Promise<string | undefined> {
  const words = ["exec", application, "--", "curl", "-sf", "--max-time", "5", `http://${place}`];
  const { code, stdout } = await town.host.stage.attempt(...words);
  return code === 0 ? stdout.trim() : undefined;
}

async function nobodyCrosses(
  first: Town,
  second: Town,
  [site2, app2]: readonly [string, string],
): Promise<void> {
  strictEqual(await first.hears("site1", site2), undefined);
  strictEqual(await first.hears("site1", app2, 5432), undefined);
  strictEqual(await second.hears("site2", "10.10.0.1"), undefined);
}

/** Of an application that runs. */
async function addressOf(town: Town, name: string): Promise<string> {
  const shown = await town.show(name === "site1" ? "vne1" : "vne2");
  return shown.members.find((one) => one.name === name && one.state === "running")?.addresses[0] ?? "nowhere";
}
