import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { Home, withoutEnvironment } from "../../chains/environment.ts";
import { findChain } from "../../chains/finding.ts";
import { restoreMembers } from "../../chains/restoring.ts";
import type { Open } from "../../session.ts";
import { reportAll } from "../../ui/chains.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis vne restore`: an environment with all that ran in it. */
export function vneRestore(open: Open): CommandUnknownOpts {
  return verb("restore", "Bring an environment back with all that ran in it: all or nothing")
    .argument("<chain>", "the id that vne snapshot printed, or the beginning of it")
    .action(async (given, _options, command) => {
      const session = open(outputOptions(command));
      const chain = await findChain(session, given);
      if (chain.environment === undefined) throw withoutEnvironment(chain.id);
      await using home = await Home.former(session, chain.environment);
      const restored = await restoreMembers(session, chain.members, {}, home.place);
      home.keep();
      reportAll(session, chain, restored);
    });
}
