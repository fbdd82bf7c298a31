import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { exitCodeOf } from "../attachment.ts";
import type { Open } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis wait`: blocks until an application has ended. */
export function wait(open: Open): CommandUnknownOpts {
  return verb("wait", "Wait until an application has ended, and print its exit code")
    .argument("<app>", "its name or AID")
    .action(async (app, _options, command) => {
      const session = open(outputOptions(command));
      const { aid, name } = await session.application(app);
      const job = session.engine.start("wait", { aid });
      using _listening = session.interrupts.take(() => job.cancel());
      const ending = await job.done;
      if (session.output.json) session.output.object({ aid, name, ...ending });
      else session.output.line(String(exitCodeOf(ending)));
    });
}
