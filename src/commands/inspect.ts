import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { chainMeant } from "../chains/finding.ts";
import type { Open } from "../session.ts";
import { renderChain } from "../ui/chains.ts";
import { renderInspection } from "../ui/inspection.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis inspect`: what a snapshot holds. */
export function inspect(open: Open): CommandUnknownOpts {
  return verb("inspect", "Show what a snapshot holds, or which ones a chain has")
    .argument("<snapshot>", "an id, the beginning of one, APP@latest, APP@2, or a folder")
    .action(async (given, _options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const chain = await chainMeant(session, given);
      if (chain !== undefined) {
        if (output.json) output.object(chain);
        else output.lines(renderChain(chain, await session.snapshots(), output.stdout.columns()));
        return;
      }
      const dir = await session.snapshotFolder(given);
      const inspection = await session.perform("inspect", { dir });
      if (output.json) output.object({ dir, ...inspection });
      else output.lines(renderInspection(dir, inspection, output.stdout.columns()));
    });
}
