/** What virtual network environments cost: their traffic on one host and on two, joining them, having many, and
 * moving from host to host. */

import { table } from "./statistics.ts";
import { membersAcross, moving, Pair, plainTunnel } from "./networks/across.ts";
import { growth, joining, withoutCommands } from "./networks/growth.ts";
import { Host } from "./networks/host.ts";
import { compare, members, plainBridge } from "./networks/traffic.ts";

/** Measures, `rounds` times by turns, and prints tables. Only root can. */
export async function benchNetworks(product: string, rounds: number): Promise<void> {
  if (Deno.uid() !== 0) return console.log("only root makes network environments: not measured");
  await using host = await Host.open(product);
  await traffic(host, rounds);
  console.log(`\n${table(await joining(host, rounds))}`);
  await host.clear();
  console.log(`\nwithout commands\n${(await withoutCommands()).trimEnd()}`);
  const grown = await growth(host, async () => {
    console.log("\namong many environments");
    await traffic(host, rounds);
  });
  console.log(`\n${table(grown)}`);
  await across(product, rounds);
}

async function traffic(host: Host, rounds: number): Promise<void> {
  const plain = await plainBridge(host);
  try {
    console.log(table(await compare(host, rounds, plain.way, await members(host))));
  } finally {
    await host.end();
    await host.stasis("vne", "rm", "traffic");
    await plain.close();
  }
}

async function across(product: string, rounds: number): Promise<void> {
  await using pair = await Pair.open(product);
  const plain = await plainTunnel(pair);
  try {
    console.log(`\n${table(await compare(pair.a, rounds, plain.way, await membersAcross(pair)))}`);
  } finally {
    await plain.close();
  }
  console.log(`\n${table(await moving(pair, rounds))}`);
}
