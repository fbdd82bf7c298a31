import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { exitCodeOf } from "../attachment.ts";
import type { Open } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis exec`: one more command inside an application's capsule. */
export function exec(open: Open): CommandUnknownOpts {
  return verb("exec", "Run one more command inside an application's capsule")
    .usage("[options] APP -- CMD [ARG...]")
    .argument("<app>", "the application's name or AID")
    .argument("<command...>", "the command and its arguments")
    .passThroughOptions()
    .action(async (app, words, _options, command) => {
      const argv = words[0] === "--" ? words.slice(1) : words;
      if (argv.length === 0) command.error("missing required argument 'command'");
      const session = open(outputOptions(command));
      const { aid } = await session.application(app);
      const { cwd, env, terminal } = session.caller;
      const job = session.engine.start("exec", { aid, argv, env, cwd, terminal });
      using _listening = session.interrupts.take(() => job.cancel());
      session.exitCode = exitCodeOf(await job.done);
    });
}
