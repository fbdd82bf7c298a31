import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { outputOptions } from "../verb.ts";

/** `stasis --version`: of stasis, and of the runtime that it travels with. */
export function version(open: Open, command: CommandUnknownOpts): void {
  const { engine, output } = open(outputOptions(command));
  // The launcher says so itself; what `deno compile` made on Deno's own base knows that it stands alone.
  const base = Deno.env.get("STASIS_BASE") ?? (Deno.build.standalone ? "denort" : "checkout");
  const versions = { stasis: engine.version(), deno: Deno.version.deno, base };
  if (output.json) output.object(versions);
  else output.line(`stasis ${versions.stasis} (deno ${versions.deno}, base ${base})`);
}
