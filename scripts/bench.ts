/**
 * Measures pause, snapshot and restore at several sizes, and the same for criu where it is on PATH; what virtual ids
 * cost the calls that bear them; what clones of templates in memory cost; and what virtual network environments do. Figures are medians, with the lowest
 * and highest; machines are noisy, so compare within one run.
 *
 *     deno task bench [--only snapshots|ids|templates|networks] [--rounds N] [--sizes 16,256,1024]
 *         [--template-sizes 64,256,1024,4096]
 */

import { parseArgs } from "node:util";
import { show, summarise, table } from "./bench/statistics.ts";
import { Criu, type Round, Stasis, type Tool } from "./bench/tools.ts";
import { benchNetworks } from "./bench/networks.ts";
import { benchTemplates } from "./bench/templates.ts";
import { benchVirtualIds } from "./bench/virtual_ids.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    only: { type: "string" },
    rounds: { type: "string", default: "5" },
    sizes: { type: "string", default: "16,256,1024" },
    "template-sizes": { type: "string", default: "64,256,1024,4096" },
  },
});

const MIB = 1 << 20;
const product = new URL("../dist/stasis", import.meta.url).pathname;
const rounds = Number(values.rounds);
const PARTS = ["snapshots", "ids", "templates", "networks"];
if (values.only !== undefined && !PARTS.includes(values.only)) {
  throw new Error(`Could not measure "${values.only}": --only takes one of ${PARTS.join(", ")}`);
}
const wanted = (part: string) => values.only === undefined || values.only === part;
if (wanted("snapshots")) {
  console.log("snapshots");
  await benchSnapshots(values.sizes.split(",").map(Number));
}
if (wanted("ids")) {
  console.log("\nvirtual ids");
  await benchVirtualIds(product, rounds);
}
if (wanted("templates")) {
  console.log("\ntemplates in memory");
  await benchTemplates(product, rounds, values["template-sizes"].split(",").map(Number));
}

if (wanted("networks")) {
  console.log("\nvirtual network environments");
  await benchNetworks(product, rounds);
}

async function benchSnapshots(sizes: readonly number[]): Promise<void> {
  const tools: Tool[] = [new Stasis(product)];
  if (await Criu.isThere()) tools.push(new Criu());
  else console.log("criu is not on PATH, or cannot work here: measured without it");

  const rows = [["memory", "tool", "pause ms", "snapshot ms", "restore ms", "of that itself", "image MiB"]];
  for (const mebibytes of sizes) {
    const measured = new Map<Tool, Round[]>(tools.map((tool) => [tool, []]));
    // Rounds alternate between the tools, so that what else the machine does falls on both.
    for (let round = 0; round < rounds; round++) {
      for (const tool of tools) measured.get(tool)?.push(await once(tool, mebibytes * MIB));
    }
    for (const [tool, rounds] of measured) rows.push([`${mebibytes} MiB`, tool.name, ...columns(rounds)]);
  }
  console.log(table(rows));
}

async function once(tool: Tool, size: number): Promise<Round> {
  const folder = await Deno.makeTempDir({ prefix: "stasis-bench-" });
  try {
    return await tool.round(folder, size);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function columns(rounds: readonly Round[]): string[] {
  const of = (pick: (round: Round) => number) => show(summarise(rounds.map(pick)));
  return [
    of((round) => round.pause),
    of((round) => round.snapshot),
    of((round) => round.restore),
    rounds.every(({ restoring }) => restoring !== undefined) ? of(({ restoring }) => restoring ?? 0) : "",
    of((round) => round.image / MIB),
  ];
}
