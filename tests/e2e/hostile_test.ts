/** A member of an environment that tries to be somebody else, and to reach what is not of its environment. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { Dialogue } from "./stage/dialogue.ts";
import { NetworkHost } from "./stage/network_host.ts";
import { must } from "./stage/stage.ts";
import { Town } from "./stage/town.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";
const programs = fileURLToPath(new URL("hostile", import.meta.url));

const TRIES = ["python3", "-B", `${programs}/tries.py`];
/** As docs/networks.md has it for a program of root that is not trusted. */
const CONFINED = [
  "setpriv",
  "--inh-caps=-all",
  "--bounding-set=-net_admin,-sys_admin,-sys_ptrace,-sys_module,-sys_rawio,-bpf,-dac_read_search",
];

/** A name, the counter that is to count it, and who may hear it. */
type Try = [name: string, counter: keyof Counters | null, hearers: string[]];

/** What nft(8) lists. */
interface Listing {
  nftables: { counter?: { table: string; name: string; packets: number } }[];
}

interface Counters {
  spoofed: number;
  host: number;
  outside: number;
}

Deno.test({
  name: `a hostile member reaches nobody, is nobody else, and what it tries is counted${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await using outside = await NetworkHost.open();
    await using scene = await Scene.open(town, outside);
    const all: Try[] = JSON.parse(await scene.hostile.line());
    ok(all.length >= 24);
    const wrong = [];
    for (const one of all) wrong.push(...await scene.attempt(one));
    deepStrictEqual([...wrong, ...await scene.changes()], []);
    ok(await scene.unguarded(all) >= 24, "without the rules they do harm");
  },
});

Deno.test({
  name: `a member without the host's privileges finds no way into another network namespace${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", "--subnet", "10.10.2.0/24");
    const other = await town.host.stage.write("other", "");
    await must(["mount", "--bind", `/proc/${town.host.holder.pid}/ns/net`, other]);
    try {
      await using hostile = member(town, "hostile", "shop", ...CONFINED, ...TRIES, "ways", other);
      const all: Try[] = JSON.parse(await hostile.line());
      for (const [name] of all) strictEqual(await hostile.ask(name), null, name);
    } finally {
      await must(["umount", other]);
    }
  },
});

/** The hostile member, and those that listen whether it reaches them. */
class Scene implements AsyncDisposable {
  readonly hostile: Dialogue;
  readonly #ears = new Map<string, Dialogue>();
  #table = "";
  #before: Record<string, string> = {};
  #counters: Counters = { spoofed: 0, host: 0, outside: 0 };

  private constructor(readonly town: Town, readonly outside: NetworkHost) {
    this.hostile = member(town, "hostile", "shop=10.10.2.1", ...TRIES, "frames");
  }

  static async open(town: Town, outside: NetworkHost): Promise<Scene> {
    for (const [name, number] of [["shop", 2], ["bank", 3]] as const) {
      const ranges = [`10.10.${number}.0/24`, `fd73:7461:7369:${number}::/64`];
      await town.create(name, ...ranges.flatMap((range) => ["--subnet", range]));
    }
    await town.host.connect(outside, ["192.0.2.1/24", "192.0.2.9/24"]);
    const scene = new Scene(town, outside);
    await scene.#listen();
    return scene;
  }

  async #listen(): Promise<void> {
    const ear = ["python3", "-B", `${programs}/ear.py`];
    this.#ears.set("victim", member(this.town, "victim", "shop=10.10.2.2", ...ear, "eth0"));
    this.#ears.set("third", member(this.town, "third", "shop=10.10.2.3", ...ear, "eth0"));
    this.#ears.set("safe", member(this.town, "safe", "bank=10.10.3.1", ...ear, "eth0"));
    this.#ears.set("outside", this.#program(this.outside, ...ear, "wan"));
    this.#ears.set("host", this.#program(this.town.host, ...ear, "host"));
    for (const one of this.#ears.values()) strictEqual(await one.line(), "ready");
    for (const one of this.#ears.values()) await one.ask("warm");
    this.#before = await this.#known();
    const { id, stopped } = await this.town.show("shop");
    this.#table = `stasis-${id}`;
    this.#counters = stopped;
  }

  /** Has the hostile member try, and tells what is wrong then. */
  async attempt([name, counter, hearers]: Try): Promise<string[]> {
    const wrong = [];
    const seen = await this.hostile.ask<unknown>(name);
    if (seen !== null) wrong.push(`${name}: it has come to see ${JSON.stringify(seen)}`);
    const stopped = await this.#counted();
    if (counter !== null && stopped[counter] <= this.#counters[counter]) wrong.push(`${name}: not counted`);
    this.#counters = stopped;
    for (const [who, ear] of this.#ears) {
      const heard = await ear.ask<string[]>("heard");
      if (heard.length > 0 && !hearers.includes(who)) wrong.push(`${name}: ${who} hears ${heard.join(" ")}`);
    }
    return wrong;
  }

  /** What `vne show` tells, without the start of a command for each try. */
  async #counted(): Promise<Counters> {
    const { nftables }: Listing = JSON.parse(await this.town.host.must("nft", "-j", "list", "counters"));
    const own = nftables.flatMap(({ counter }) => counter?.table === this.#table ? [counter] : []);
    const counted = { spoofed: 0, host: 0, outside: 0 };
    return own.reduce((all, { name, packets }) => ({ ...all, [name]: packets }), counted);
  }

  /** What is not with anybody as it was, nor told by the product as it is. */
  async changes(): Promise<string[]> {
    const now = await this.#known();
    const { stopped } = await this.town.show("shop");
    // Its kernel may have gone on meanwhile, with the address that it has made for itself.
    for (const [name, count] of Object.entries(this.#counters)) {
      const told = stopped[name as keyof Counters];
      ok(told >= count, `${told} ${name} of ${count}`);
    }
    return [...this.#ears.keys()].filter((who) => now[who] !== this.#before[who]).map((who) =>
      `${who} is misled: ${now[who]}`
    );
  }

  /** How many of the tries reach somebody once the environment has no rules. */
  async unguarded(all: readonly Try[]): Promise<number> {
    for (const family of ["bridge", "inet"]) {
      await this.town.host.must("nft", "delete", "table", family, this.#table);
    }
    let harmful = 0;
    for (const [name] of all) {
      await this.hostile.ask(name);
      let heard = 0;
      for (const ear of this.#ears.values()) heard += (await ear.ask<string[]>("heard")).length;
      if (heard > 0) harmful++;
    }
    return harmful;
  }

  async #known(): Promise<Record<string, string>> {
    const all: Record<string, string> = {};
    for (const [who, ear] of this.#ears) all[who] = JSON.stringify(await ear.ask("known"));
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of [this.hostile, ...this.#ears.values()]) await one[Symbol.asyncDispose]();
  }

  #program(host: NetworkHost, ...words: string[]): Dialogue {
    return new Dialogue([...host.stage.within, ...words], host.stage.env);
  }
}

/** Runs a member. A published port has the host forward packets, and lead its loopback addresses to members. */
function member(town: Town, name: string, vne: string, ...words: string[]): Dialogue {
  const { within, product, env } = town.host.stage;
  const options = ["--quiet", "--name", name, "--vne", vne, "--publish", "80"];
  return new Dialogue([...within, ...product, "run", ...options, "--", ...words], env);
}
