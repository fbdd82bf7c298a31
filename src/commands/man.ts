import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { manualPage } from "../shell/manual.ts";
import { flagsOf, verbsOf } from "../shell/tree.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis man`: the manual page. */
export function man(open: Open, program: CommandUnknownOpts): CommandUnknownOpts {
  return verb("man", 'Print the manual page, for "stasis man | man -l -"')
    .action((_options, command) => {
      const { engine, output } = open(outputOptions(command));
      const page = manualPage(verbsOf(program), flagsOf(program), engine.version());
      if (output.json) output.object({ page });
      else output.stdout.write(page);
    });
}
