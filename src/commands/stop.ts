import { type CommandUnknownOpts, InvalidArgumentError } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { formatEnding } from "../ui/ending.ts";
import { outputOptions, verb } from "../verb.ts";
import { tellOf } from "../vne/meeting.ts";

const DEFAULT_SECONDS = 10;

/** `stasis stop`: asks an application to end, and makes it. */
export function stop(open: Open): CommandUnknownOpts {
  return verb("stop", "End an application: SIGTERM, then SIGKILL for what is left")
    .argument("<app>", "its name or AID")
    .option("-t, --time <SEC>", "how long it may take before SIGKILL", parseSeconds, DEFAULT_SECONDS)
    .action(async (app, options, command) => {
      const session = open(outputOptions(command));
      const { aid, name, network } = await session.application(app);
      const ending = await session.perform("stop", { aid, timeout_ms: Math.round(options.time * 1000) });
      if (session.output.json) session.output.object({ aid, name, ...ending });
      session.output.talk(
        `Ended "${name}": ${formatEnding(ending)}${ending.killed ? ", after its time was up" : ""}`,
      );
      await tellOf(session, [network]);
    });
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && seconds < 1e6) return seconds;
  throw new InvalidArgumentError("It must be a number of seconds.");
}
