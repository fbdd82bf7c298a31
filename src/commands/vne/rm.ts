import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import type { Open } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";
import { isBeingJoined } from "../../vne/claims.ts";
import { describe, dropEnvironment, findEnvironment, folderOf } from "../../vne/environments.ts";
import { Lock } from "../../vne/files.ts";
import { membersOf } from "../../vne/members.ts";
import { environmentsOf } from "../../vne/ranges.ts";

/** `stasis vne rm`: removes an environment, with everything that this host has of it. */
export function vneRm(open: Open): CommandUnknownOpts {
  return verb("rm", "Remove an environment that no application runs in")
    .argument("<environment>", "its name")
    .option("--force", "remove it all the same: applications in it run on, without a link")
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const { home, output } = session;
      const card = findEnvironment(home, name);
      using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
      using _claims = await Lock.on(`${folderOf(home, name)}/.lock`);
      const members = membersOf(card, await session.applications()).filter(({ state }) =>
        state === "running"
      );
      if (options.force !== true) {
        if (members.length > 0) throw inUse(name, members.map((one) => `"${one.name}"`));
        if (isBeingJoined(folderOf(home, name))) throw inUse(name, ["what another command starts just now"]);
      }
      await session.perform("remove_environment", { environment: describe(card) });
      dropEnvironment(home, name);
      if (output.json) output.object({ removed: "environment", name });
      output.talk(`Removed the environment "${name}"`);
    });
}

function inUse(name: string, who: readonly string[]): StasisError {
  return StasisError.of("other", `Could not remove the environment "${name}"`, {
    causes: [`there run ${who.join(", ")}`],
    hint: "Stop them first, or use --force, which takes their links away",
  });
}
