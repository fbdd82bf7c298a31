/**
 * Builds dist/stasis, the one file.
 *
 *     deno task build [--base launcher|denort]
 *
 * The base is the executable behind which `deno compile` puts the program. `launcher` is ours and is built here, with
 * nothing to download. `denort` is Deno's own: the file that DENORT_BIN names, else a download from Deno's site. The
 * launcher is taken unless DENORT_BIN is set or `--base denort` asks for the other; a download that fails is an error.
 */

import { parseArgs } from "node:util";
import { LAUNCHER, PRODUCT } from "./build/layout.ts";
import { buildLauncher, buildLibrary } from "./build/native.ts";
import { type Base, bundle, compile } from "./build/product.ts";
import { packRuntime } from "./build/runtime.ts";

function chooseBase(asked: string | undefined): Base {
  const given = Deno.env.get("DENORT_BIN");
  switch (asked ?? (given === undefined ? "launcher" : "denort")) {
    case "launcher":
      return { kind: "launcher", path: LAUNCHER };
    case "denort":
      return { kind: "denort", path: given };
    default:
      throw new Error(`Could not choose the base "${asked}": it is "launcher" or "denort"`);
  }
}

/** Does one step and says how long it took. */
async function step(name: string, work: () => Promise<boolean | void>): Promise<void> {
  const start = performance.now();
  const done = await work();
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.error(`  ${name.padEnd(34)} ${done === false ? "unchanged" : `${seconds} s`}`);
}

async function build(base: Base): Promise<void> {
  console.error(`Building dist/stasis on the base ${base.kind}${base.path ? ` (${base.path})` : ""}`);
  // Two chains beside one another: Cargo works on each in a folder of its own.
  await Promise.all([
    step("library and its helper", buildLibrary),
    step("program", bundle),
    base.kind === "launcher" && step("launcher", async () => await buildLauncher(await packRuntime())),
  ]);
  await step("one file", () => compile(base));
  const megabytes = (Deno.statSync(PRODUCT).size / 1e6).toFixed(1);
  console.error(`  dist/stasis                        ${megabytes} MB`);
}

const { values } = parseArgs({ args: Deno.args, options: { base: { type: "string" } } });
try {
  await build(chooseBase(values.base));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
