import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { findTemplate } from "../../catalog/templates.ts";
import { parseBytes } from "../../bytes.ts";
import type { Open } from "../../session.ts";
import { formatBytes } from "../../ui/format.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template load`: keeps a template's memory in a resident helper, where clones share it. */
export function templateLoad(open: Open): CommandUnknownOpts {
  return verb("load", "Keep a template in memory: its clones then share what they do not write to")
    .argument("<template>", "its name")
    .option(
      "--limit <SIZE>",
      "most memory that it may take, such as 4G (default: half of what is available)",
      parseBytes,
    )
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const template = findTemplate(session.home, name);
      const limit_bytes = options.limit ?? Math.floor(Deno.systemMemoryInfo().available / 2);
      // Clones of a template in memory are not preceded by a look at its checksums.
      await session.perform("verify", { dir: template.image });
      const loaded = await session.perform("load", { dir: template.image, name: template.name, limit_bytes });
      if (output.json) output.object(loaded);
      else output.line(loaded.name);
      output.talk(
        `"${loaded.name}" is in memory: ${formatBytes(loaded.bytes)}, held by process ${loaded.pid}`,
      );
    });
}
