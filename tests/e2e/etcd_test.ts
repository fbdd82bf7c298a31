/** Environments whose hosts agree through etcd. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Land, refusal } from "./stage/land.ts";
import { must, until } from "./stage/stage.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

/** One server of etcd in the underlay, with its data in a folder of its own. */
class Etcd implements AsyncDisposable {
  #server: Deno.ChildProcess | undefined;

  private constructor(readonly land: Land, readonly folder: string) {}

  static async open(land: Land): Promise<Etcd> {
    const etcd = new Etcd(land, await Deno.makeTempDir({ prefix: "stasis-etcd-" }));
    await land.underlay.must("ip", "address", "add", "172.31.0.254/24", "dev", "underlay");
    await etcd.start();
    return etcd;
  }

  readonly url = "http://172.31.0.254:2379";

  async start(): Promise<void> {
    const [program = "", ...within] = this.land.underlay.stage.within;
    const args = [...within, "etcd", `--data-dir=${this.folder}/data`, "--log-level=error"];
    const urls = ["--listen-client-urls", "--advertise-client-urls"].map((option) => `${option}=${this.url}`);
    const peers = ["--listen-peer-urls=http://127.0.0.1:2380"];
    this.#server = new Deno.Command(program, {
      args: [...args, ...urls, ...peers],
      stdout: "null",
      stderr: "null",
    }).spawn();
    await until("etcd answer", async () => (await this.ask("health", "")).includes("true") || undefined);
  }

  async stop(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server?.status;
    this.#server = undefined;
  }

  /** What it answers, to whoever is in the underlay. */
  ask(path: string, body: string): Promise<string> {
    const data = body === "" ? [] : ["--data", body];
    return must([...this.land.underlay.stage.within, "curl", "-sS", ...data, `${this.url}/${path}`]);
  }

  /** All that stands in it, as text. */
  async contents(): Promise<string> {
    const all = await this.ask("v3/kv/range", JSON.stringify({ key: btoa("/"), range_end: btoa("0") }));
    const { kvs = [] } = JSON.parse(all) as { kvs?: { key: string; value: string }[] };
    return kvs.map(({ key, value }) => `${atob(key)} ${atob(value)}\n`).join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test({
  name: `hosts join by a directory, hand out what they own without it, and agree again when it is back${why}`,
  ignore,
  async fn() {
    await using land = await Land.open(3);
    await using etcd = await Etcd.open(land);
    const [a, b, c] = [land.town("a"), land.town("b"), land.town("c")];
    await land.create("shop", ["b"], "--subnet", "10.10.2.0/28", "--directory", etcd.url);
    match(await etcd.contents(), /\/stasis\/vne\/[0-9a-f]{6} .*"name":"a"/);
    match(
      await refusal(c, "vne", "join", "bank", "--directory", etcd.url, ...land.ways),
      /has none of this name/,
    );
    await c.stasis("vne", "join", "shop", "--self", "c", "--directory", etcd.url, ...land.ways);
    const { hosts = [] } = await land.show("c", "shop");
    // Of 14 numbers 4, 5 and 5 for nobody; of the latter the third host has the larger half.
    deepStrictEqual(hosts.map(({ name, count }) => [name, count]), [["a", 4], ["b", 5], ["c", 3]]);
    deepStrictEqual((await land.show("a", "shop")).hosts?.length, 3);

    await c.serve("web", "shop");
    await a.serve("store", "shop");
    strictEqual(await a.hears("store", await land.addressOf("c", "shop", "web")), "web 1");
    await etcd.stop();
    await land.place("b", "shop", "one");
    const { stderr } = await b.host.stage.attempt("run", "-d", "--vne", "shop", "--", "sleep", "600");
    match(stderr, /Could not ask the directory[^]*going on with what is known/);
    const needed = await refusal(
      b,
      "run",
      "-d",
      "--vne",
      `shop=${await land.addressOf("a", "shop", "store")}`,
      "--",
      "true",
    );
    match(needed, /Could not ask the directory/);
    await etcd.start();

    for (const refused of await land.storm("shop", ["a", "b", "c"], 4)) {
      match(refused, /Could not find an address/);
    }
    match(await land.fill("shop", "a"), /Could not find an address[^]*the host "c" has none to give away/);
    const addresses = await land.inUse("a", "shop");
    strictEqual(new Set(addresses).size, addresses.length, "no address was given twice");
    strictEqual(addresses.length, 14, "and all are in use");
  },
});

Deno.test({
  name: `a host leaves through the directory, another one is declared gone, and nothing is left in it${why}`,
  ignore,
  async fn() {
    await using land = await Land.open(3);
    await using etcd = await Etcd.open(land);
    const [a, b, c] = [land.town("a"), land.town("b"), land.town("c")];
    await land.create("shop", ["b", "c"], "--subnet", "10.10.2.0/28", "--directory", etcd.url);
    const [, kept = ""] = await Promise.all([
      land.place("b", "shop", "kept"),
      land.place("c", "shop", "lost"),
    ]);
    await b.stasis("kill", "kept");
    await b.stasis("wait", "kept");
    await b.stasis("vne", "leave", "shop");
    deepStrictEqual(await land.remains("b"), []);
    await land.reachable("c", false);
    await a.stasis("vne", "leave", "shop", "--host", "c");
    deepStrictEqual((await land.show("a", "shop")).hosts?.map(({ name }) => name), ["a"]);
    strictEqual(await land.place("a", `shop=${kept}`, "heir"), kept, "its address is another's now");
    await land.reachable("c", true);
    match(await refusal(c, "run", "-d", "--vne", "shop", "--", "true"), /no longer part of the environment/);
    await c.stasis("vne", "leave", "shop", "--force");
    await a.stasis("kill", "heir");
    await a.stasis("wait", "heir");
    await a.stasis("vne", "rm", "shop");
    strictEqual(await etcd.contents(), "");
    ok(!(await a.stasis("vne", "ls", "-q")).includes("shop"));
  },
});
