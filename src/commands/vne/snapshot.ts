import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import { takeChain, type Whole } from "../../chains/coordinating.ts";
import { mannerOf, patienceOption } from "../../chains/manner.ts";
import type { Open, Session } from "../../session.ts";
import { reportChain, reportUntold } from "../../ui/chains.ts";
import { collect, outputOptions, verb } from "../../verb.ts";
import { describe, type EnvironmentCard, findEnvironment } from "../../vne/environments.ts";
import { linksInto } from "../../vne/holders.ts";
import { hostsOf } from "../../vne/hosts.ts";

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
      const whole = wholeOf(session, card);
      if (members.length === 0 && whole.others.length === 0) throw empty(name);
      const taken = await takeChain(session, members, mannerOf(options), whole);
      const stopped = options.stop === true;
      reportChain(session, taken, stopped);
      reportUntold(session, taken, stopped);
    });
}

/** The environment, with the other hosts that have it. */
function wholeOf({ home }: Session, card: EnvironmentCard): Whole {
  const hosts = hostsOf(home, card);
  const self = hosts.find((host) => host.self)?.name ?? "";
  return { environment: describe(card), self, others: hosts.filter((host) => !host.self) };
}

function empty(name: string): StasisError {
  return StasisError.of("no_target", `Could not take a snapshot of the environment "${name}"`, {
    causes: ["no application runs in it"],
  });
}
