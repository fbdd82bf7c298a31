import { CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { outputOptions } from "../verb.ts";

/** `stasis --version`: of stasis, and of the runtime that it travels with. Ends the command, as `--help` does. */
export function version(open: Open, command: CommandUnknownOpts): never {
  const { engine, output } = open(outputOptions(command));
  // The launcher says so itself; what `deno compile` made on Deno's own base knows that it stands alone.
  const base = Deno.env.get("STASIS_BASE") ?? (Deno.build.standalone ? "denort" : "checkout");
  const versions = { stasis: engine.version(), deno: Deno.version.deno, base };
  if (output.json) output.object(versions);
  else output.line(`stasis ${versions.stasis} (deno ${versions.deno}, base ${base})`);
  throw new CommanderError(0, "commander.version", versions.stasis);
}
