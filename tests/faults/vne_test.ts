/** Commands about environments that are killed at any moment: what they leave is known to the next one, and nothing stays. */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { until } from "../e2e/stage/stage.ts";
import { Town } from "../e2e/stage/town.ts";
import { Moments } from "./moments.ts";

const ROUNDS = 8;
const SHOP = ["--subnet", "10.10.2.0/24", "--subnet", "fd73:7461:7369:2::/64"];

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

/** Everything in the network of the host that is not its own. */
async function traces(town: Town): Promise<string[]> {
  const states = await town.host.must("ip", "xfrm", "state");
  const policies = await town.host.must("ip", "xfrm", "policy");
  return [...await town.host.links(), ...await town.host.tables(), states, policies].filter((one) =>
    one !== ""
  );
}

async function running(town: Town): Promise<string[]> {
  const apps: { aid: string; state: string }[] = JSON.parse(await town.stasis("ps", "--json"));
  return apps.filter(({ state }) => state === "running").map(({ aid }) => aid);
}

Deno.test({
  name: `an environment is made and removed after commands that were killed at any moment of doing so${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    const making = await Moments.of(() => town.create("shop", ...SHOP));
    const removing = await Moments.of(() => town.stasis("vne", "rm", "shop"));
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      if (await making.kill(town.host.stage.spawn("vne", "create", "shop", ...SHOP))) killed++;
      const listed: { name: string }[] = JSON.parse(await town.stasis("vne", "ls", "--json"));
      if (listed.length > 0) await town.stasis("vne", "rm", "shop");
      deepStrictEqual(await traces(town), [], `round ${round}`);
    }
    for (let round = 0; round < ROUNDS; round++) {
      await town.create("shop", ...SHOP);
      if (await removing.kill(town.host.stage.spawn("vne", "rm", "shop"))) killed++;
      const listed: { name: string }[] = JSON.parse(await town.stasis("vne", "ls", "--json"));
      if (listed.length > 0) await town.stasis("vne", "rm", "shop");
      deepStrictEqual(await traces(town), [], `round ${round}`);
    }
    ok(killed > ROUNDS, `${killed} were killed`);
  },
});

Deno.test({
  name: `an address is free again after a command that was killed at any moment of giving it away${why}`,
  ignore,
  async fn() {
    await using town = await Town.open();
    await town.create("shop", ...SHOP);
    const [bridge = ""] = await town.host.links();
    const start = ["run", "-d", "--vne", "shop=10.10.2.7", "--publish", "auto:80", "--", "sleep", "1000"];
    const moments = await Moments.of(() => town.stasis(...start));
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await end(town, bridge);
      if (await moments.kill(town.host.stage.spawn(...start))) killed++;
    }
    ok(killed > ROUNDS / 2, `${killed} were killed`);
    await end(town, bridge);
    await town.stasis(...start);
    strictEqual((await running(town)).length, 1);
    await end(town, bridge);
    await town.stasis("vne", "rm", "shop");
    deepStrictEqual(await traces(town), []);
  },
});

/** Ends what runs, and waits until nothing but the environment is left of it. */
async function end(town: Town, bridge: string): Promise<void> {
  await until("every application end", async () => {
    for (const aid of await running(town)) await town.stasis("kill", aid);
    const left = [...await town.host.links(), ...await town.host.tables()];
    return left.every((one) => one === bridge || one.endsWith(bridge.replace("st-", "stasis-"))) || undefined;
  });
}
