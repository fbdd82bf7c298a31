import { Argument, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { bashCompletions } from "../shell/bash.ts";
import { fishCompletions } from "../shell/fish.ts";
import { flagsOf, verbsOf } from "../shell/tree.ts";
import { zshCompletions } from "../shell/zsh.ts";
import { outputOptions, verb } from "../verb.ts";

const GENERATORS = { bash: bashCompletions, zsh: zshCompletions, fish: fishCompletions };

/** `stasis completions`: a script that teaches a shell the commands. */
export function completions(open: Open, program: CommandUnknownOpts): CommandUnknownOpts {
  return verb("completions", "Print the completions for a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(["bash", "zsh", "fish"] as const))
    .action((shell, _options, command) => {
      const { output } = open(outputOptions(command));
      const script = GENERATORS[shell](verbsOf(program), flagsOf(program));
      if (output.json) output.object({ shell, script });
      else output.stdout.write(script);
    });
}
