import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { nameOfSignal, parseSignal } from "../signals.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis kill`: sends a signal to an application. */
export function kill(open: Open): CommandUnknownOpts {
  return verb("kill", "Send an application a signal; SIGKILL reaches every process of it")
    .argument("<app>", "its name or AID")
    .option("-s, --signal <SIG>", "which signal, as a name or a number", "KILL")
    .action(async (app, options, command) => {
      const session = open(outputOptions(command));
      const signal = parseSignal(options.signal);
      const { aid, name } = await session.application(app);
      await session.perform("signal", { aid, signal });
      if (session.output.json) session.output.object({ aid, name, signal });
      session.output.talk(`Sent ${nameOfSignal(signal)} to "${name}"`);
    });
}
