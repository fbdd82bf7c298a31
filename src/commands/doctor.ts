import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { EXIT_CODES } from "../../ffi/error.ts";
import type { Open } from "../session.ts";
import { renderChecks } from "../ui/checks.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis doctor`: what this host's kernel and privileges allow. */
export function doctor(open: Open): CommandUnknownOpts {
  return verb("doctor", "Show what this host's kernel and your privileges allow")
    .action(async (_options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const { checks } = await session.perform("doctor", {});
      if (output.json) output.object(checks);
      else if (output.quiet) output.lines(checks.filter((one) => !one.ok).map((one) => one.name));
      else output.lines(renderChecks(checks, output.dataColors, output.stdout.columns()));
      if (checks.some((check) => check.required && !check.ok)) session.exitCode = EXIT_CODES.host_lacks;
    });
}
