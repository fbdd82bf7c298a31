/** Chains: several applications captured at one moment, all or none, and brought back together. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { NetworkHost } from "./stage/network_host.ts";
import { type Stage, until } from "./stage/stage.ts";
import { startStreams, streamOn } from "./stage/streams.ts";
import { Town } from "./stage/town.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

async function pairIn(town: Town): Promise<Stage> {
  const { stage } = town.host;
  await town.create("shop", "--subnet", "10.10.2.0/24");
  const vne = (number: number) => ["--vne", `shop=10.10.2.${number}`];
  await startStreams(stage, { address: "10.10.2.1", options: vne(1) }, { options: vne(2) });
  return stage;
}

async function end(stage: Stage, ...names: string[]): Promise<void> {
  await Promise.all(names.map(async (name) => {
    // The end of one breaks the other's stream, and it ends by itself.
    await stage.attempt("kill", name);
    await stage.attempt("wait", name);
  }));
  await stage.stasis("rm", ...names);
}

async function running(stage: Stage): Promise<string[]> {
  const listed: { name: string; state: string }[] = JSON.parse(await stage.stasis("ps", "--json"));
  return listed.filter(({ state }) => state === "running").map(({ name }) => name).sort();
}

Deno.test({
  name:
    `streams go on from every one of ten chains taken of them live, beside the first ones and in their place${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    const stage = await pairIn(town);
    const chains: string[] = [];
    for (let round = 0; round < 10; round++) {
      chains.push(await stage.stasis("vne", "snapshot", "shop", "-q"));
    }
    await streamOn(stage, "left", "right");
    const copies = chains.map((_, index) => `copy${index}`);
    for (const [index, chain] of chains.entries()) {
      await stage.stasis("vne", "restore", chain, "--name", copies[index] ?? "");
    }
    await streamOn(stage, "left", "right", ...copies.flatMap((name) => [`${name}-left`, `${name}-right`]));
    const { members } = await town.show("copy0");
    deepStrictEqual(members.map(({ addresses }) => addresses[0]).sort(), ["10.10.2.1", "10.10.2.2"]);
    await end(stage, "left", "right", ...copies.flatMap((name) => [`${name}-left`, `${name}-right`]));
    for (const chain of chains.slice(-2)) {
      await stage.stasis("vne", "restore", chain);
      await streamOn(stage, "left", "right");
      await end(stage, "left", "right");
    }
    for (const name of [...copies, "shop"]) await stage.stasis("vne", "rm", name);
    deepStrictEqual([await town.host.links(), await town.host.tables()], [[], []]);
    const chain = chains[0] ?? "";
    await stage.stasis("vne", "restore", chain);
    await streamOn(stage, "left", "right");
  },
});

Deno.test({
  name: `with --stop nobody is left, and a restore of the chain goes on where all were${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    const stage = await pairIn(town);
    const chain = await stage.stasis("snapshot", "left", "right", "--stop");
    deepStrictEqual(await running(stage), []);
    const listed: { name: string; chain: string }[] = JSON.parse(await stage.stasis("snapshots", "--json"));
    deepStrictEqual(listed.map((one) => one.name).sort(), ["left", "right"]);
    deepStrictEqual([...new Set(listed.map((one) => one.chain))], [chain]);
    match(await stage.stasis("inspect", chain), /left[\s\S]*right|right[\s\S]*left/);
    await stage.stasis("restore", chain);
    await streamOn(stage, "left", "right");
  },
});

Deno.test({
  name: `connections by loopback between applications on the host's network survive, too${why}`,
  ignore,
  async fn() {
    await using host = await NetworkHost.open();
    const { stage } = host;
    await startStreams(stage, { address: "127.0.0.1", options: [] }, { options: [] });
    await stage.stasis("snapshot", "left", "right");
    await streamOn(stage, "left", "right");
    deepStrictEqual(await host.tables(), [], "no lock is left");
    const chain = await stage.stasis("snapshot", "left", "right", "--stop");
    await stage.stasis("restore", chain);
    await streamOn(stage, "left", "right");
    deepStrictEqual(await host.tables(), []);
  },
});

Deno.test({
  name: `a chain is removed as a whole, and none of its snapshots alone${why}`,
  ignore,
  async fn() {
    await using host = await NetworkHost.open();
    const { stage } = host;
    for (const name of ["one", "two", "three"]) await stage.run(name, "sleep", "1000");
    const chain = await stage.stasis("snapshot", "one", "two", "three", "--tag", "nightly");
    const listed: { id: string }[] = JSON.parse(await stage.stasis("snapshots", "--json"));
    const refused = await stage.attempt("rm", listed[0]?.id ?? "");
    strictEqual(refused.code, 2);
    match(refused.stderr, new RegExp(`a part of the chain ${chain}`));
    await stage.stasis("rm", chain.slice(0, 6));
    deepStrictEqual(JSON.parse(await stage.stasis("snapshots", "--json")), []);
    deepStrictEqual(await running(stage), ["one", "three", "two"]);
    await until(
      "nothing be left",
      () => [...Deno.readDirSync(`${stage.folder}/home/data/chains`)].length === 0,
    );
  },
});
