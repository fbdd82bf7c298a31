import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../../session.ts";
import { formatBytes } from "../../ui/format.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template unload`: ends a resident helper; clones keep what they have. */
export function templateUnload(open: Open): CommandUnknownOpts {
  return verb("unload", "Take a template out of memory; its clones run on")
    .argument("<template>", "its name")
    .action(async (name, _options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const unloaded = await session.perform("unload", { name });
      if (output.json) output.object({ unloaded: unloaded.name, bytes: unloaded.bytes });
      output.talk(`Took "${unloaded.name}" out of memory: ${formatBytes(unloaded.bytes)}`);
    });
}
