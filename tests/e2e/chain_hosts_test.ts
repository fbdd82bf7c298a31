/** Chains of an environment that several hosts have: one moment for all of them, all or none. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Land } from "./stage/land.ts";
import { type Stage, until } from "./stage/stage.ts";
import { streamer, streamOn } from "./stage/streams.ts";
import type { Town } from "./stage/town.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

function play(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${why}`, ignore, fn });
}

/** An environment on two hosts: `left` on the first, `right` on the second, which stream to each other. */
async function pair(land: Land): Promise<[Town, Town]> {
  await land.create("shop", ["b"], "--subnet", "10.10.2.0/24");
  const [here, there] = [land.town("a"), land.town("b")];
  const run = async ({ host: { stage } }: Town, name: string, ...args: string[]) => {
    await stage.stasis("run", "-d", "--name", name, "--vne", "shop", "--", ...await streamer(stage), ...args);
  };
  await run(here, "left", "listen", "7000");
  await until("left run", async () => (await here.host.stage.logs("left")).includes("ready") || undefined);
  await run(there, "right", await land.addressOf("a", "shop", "left"), "7000");
  await both(here, there);
  return [here, there];
}

/** Waits until both have received more. */
async function both(here: Town, there: Town, prefix = ""): Promise<void> {
  await streamOn(here.host.stage, `${prefix}left`);
  await streamOn(there.host.stage, `${prefix}right`);
}

async function running(stage: Stage): Promise<string[]> {
  const listed: { name: string; state: string }[] = JSON.parse(await stage.stasis("ps", "--json"));
  return listed.filter(({ state }) => state === "running").map(({ name }) => name).sort();
}

play("streams from host to host go on from chains that were taken live, in place and beside", async () => {
  await using land = await Land.open(2);
  const [here, there] = await pair(land);
  const chains: string[] = [];
  for (let round = 0; round < 3; round++) {
    // Any of the hosts leads.
    const leader = round === 1 ? there : here;
    chains.push(await leader.stasis("vne", "snapshot", "shop", "-q"));
    await both(here, there);
  }
  const [first = "", second = ""] = chains;
  await here.stasis("vne", "restore", first, "--name", "copy");
  deepStrictEqual(await running(there.host.stage), ["copy-right", "right"]);
  await both(here, there, "copy-");
  await both(here, there);

  const last = await here.stasis("vne", "snapshot", "shop", "--stop", "-q");
  deepStrictEqual([await running(here.host.stage), await running(there.host.stage)], [["copy-left"], [
    "copy-right",
  ]]);
  await here.stasis("vne", "restore", last);
  await both(here, there);
  for (const [town, name] of [[here, "left"], [there, "right"]] as const) {
    await town.host.stage.attempt("kill", name);
    await town.host.stage.attempt("wait", name);
  }
  await there.stasis("vne", "restore", second);
  await both(here, there);
  match(await there.stasis("inspect", second), /left\s+a/);
});

play("a host that cannot be reached, or that breaks off, leaves all running and nothing behind", async () => {
  await using land = await Land.open(2);
  const [here, there] = await pair(land);
  await land.reachable("b", false);
  const down = await here.host.stage.attempt("vne", "snapshot", "shop", "--stop");
  strictEqual(down.code, 1, down.stderr);
  match(down.stderr, /No route to host/);
  await land.reachable("b", true);
  await both(here, there);

  let broken = 0;
  for (let round = 0; round < 8; round++) {
    const command = here.host.stage.spawn("vne", "snapshot", "shop");
    const peer = await until("the other end", () => peerOf(there.host.stage));
    await delay(25 * round);
    try {
      Deno.kill(peer, "SIGKILL");
    } catch {
      // It was done already.
    }
    if (!(await command.status).success) broken++;
  }
  ok(broken > 0, "some were broken off");
  await both(here, there);
  // The next chain tells the other host which of its parts stand.
  await here.stasis("vne", "snapshot", "shop");
  const [ours, theirs] = [await chainsOf(here), await chainsOf(there)];
  deepStrictEqual(theirs.sort(), ours.sort(), "both have the same chains");
  deepStrictEqual([await running(here.host.stage), await running(there.host.stage)], [["left"], ["right"]]);
});

/** The chains of a host's snapshots; each has one of them there. */
async function chainsOf({ host: { stage } }: Town): Promise<string[]> {
  const listed: { chain?: string }[] = JSON.parse(await stage.stasis("snapshots", "--json"));
  return listed.map(({ chain }) => chain ?? "none");
}

/** The process that answers on a host. */
function peerOf(stage: Stage): number | undefined {
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const words = Deno.readTextFileSync(`/proc/${name}/cmdline`).split("\0");
      const home = Deno.readTextFileSync(`/proc/${name}/environ`).split("\0");
      if (words.includes("peer") && home.includes(`STASIS_HOME=${stage.env.STASIS_HOME}`)) {
        return Number(name);
      }
    } catch {
      // It has ended meanwhile, or is the kernel's.
    }
  }
  return undefined;
}
