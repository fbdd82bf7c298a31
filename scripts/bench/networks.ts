/** What virtual network environments cost: their traffic, joining them, and having many. */

import { table } from "./statistics.ts";
import { growth, joining, joiningItself } from "./networks/growth.ts";
import { Host } from "./networks/host.ts";
import { compare, members, plainBridge } from "./networks/traffic.ts";

/** Measures, `rounds` times by turns, and prints tables. Only root can. */
export async function benchNetworks(product: string, rounds: number): Promise<void> {
  if (Deno.uid() !== 0) return console.log("only root makes network environments: not measured");
  await using host = await Host.open(product);
  await traffic(host, rounds);
  console.log(`\n${table(await joining(host, rounds))}`);
  await host.clear();
  console.log(`\njoining, in the engine\n${(await joiningItself()).trimEnd()}`);
  console.log(`\n${table(await growth(host))}`);
}

async function traffic(host: Host, rounds: number): Promise<void> {
  const plain = await plainBridge(host);
  try {
    console.log(table(await compare(host, rounds, plain.way, await members(host))));
  } finally {
    await host.clear();
    await plain.close();
  }
}
