import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { renderSnapshots } from "../ui/snapshots.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis snapshots`: what the store holds. */
export function snapshots(open: Open): CommandUnknownOpts {
  return verb("snapshots", "List the snapshots of the store, newest first")
    .action(async (_options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const found = await session.snapshots();
      if (output.json) output.object(found);
      else if (output.quiet) output.lines(found.map((one) => one.id));
      else output.lines(renderSnapshots(found, output.stdout.columns()));
    });
}
