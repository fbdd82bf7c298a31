import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../../session.ts";
import { count } from "../../ui/format.ts";
import { outputOptions, verb } from "../../verb.ts";
import { findEnvironment } from "../../vne/environments.ts";
import { hostsToRemoveFrom, removeEverywhere, removeHere } from "../../vne/removing.ts";

/** `stasis vne rm`: removes an environment, with everything that its hosts have of it. */
export function vneRm(open: Open): CommandUnknownOpts {
  return verb("rm", "Remove an environment that no application runs in, from all of its hosts")
    .argument("<environment>", "its name")
    .option(
      "--force",
      "remove it all the same: applications in it run on, without a link, and hosts that are not reached keep it",
    )
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const { home, output } = session;
      const card = findEnvironment(home, name);
      const span = hostsToRemoveFrom(session, name);
      const force = options.force === true;
      const notes = span === undefined ? [] : await removeEverywhere(session, card, span, force);
      if (span === undefined) await removeHere(session, name, force);
      for (const note of notes) output.talk(`  note: ${note}`);
      if (output.json) output.object({ removed: "environment", name });
      const hosts = (span?.hosts.length ?? 1) - notes.length;
      output.talk(`Removed the environment "${name}"${hosts > 1 ? ` from ${count(hosts, "host")}` : ""}`);
    });
}
