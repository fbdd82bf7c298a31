import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import { takeChain } from "../../chains/coordinating.ts";
import { mannerOf, patienceOption } from "../../chains/manner.ts";
import type { Open } from "../../session.ts";
import { reportChain } from "../../ui/chains.ts";
import { collect, outputOptions, verb } from "../../verb.ts";
import { linksInto } from "../../vne/claims.ts";
import { describe, findEnvironment } from "../../vne/environments.ts";

/** `stasis vne snapshot`: all members of an environment at one moment. */
export function vneSnapshot(open: Open): CommandUnknownOpts {
  return verb("snapshot", "Take one snapshot of all that run in an environment, at one moment: all or none")
    .argument("<environment>", "its name")
    .option("--stop", "leave no process of them once all snapshots are complete")
    .option("--tag <TAG>", "mark the snapshots; may be given more than once", collect)
    .addOption(
      new Option("--tcp <WHAT>", "capture TCP connections as they are, or as closed (default: keep)")
        .choices(["keep", "close"] as const),
    )
    .addOption(patienceOption())
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const card = findEnvironment(session.home, name);
      const members = (await session.applications()).filter((one) =>
        one.state === "running" && linksInto(card, one).length > 0
      );
      if (members.length === 0) throw empty(name);
      reportChain(
        session,
        await takeChain(session, members, mannerOf(options), {
          environment: describe(card),
          self: "",
          others: [],
        }),
        options.stop === true,
      );
    });
}

function empty(name: string): StasisError {
  return StasisError.of("no_target", `Could not take a snapshot of the environment "${name}"`, {
    causes: ["no application runs in it"],
  });
}
