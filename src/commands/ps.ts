import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { renderApplications } from "../ui/applications.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis ps`: the applications of this user. */
export function ps(open: Open): CommandUnknownOpts {
  return verb("ps", "List applications")
    .action(async (_options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const applications = await session.applications();
      if (output.json) output.object(applications);
      else if (output.quiet) output.lines(applications.map((one) => one.aid));
      else output.lines(renderApplications(applications, output.stdout.columns()));
    });
}
