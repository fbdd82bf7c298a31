import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { removeTemplate } from "../../catalog/templates.ts";
import type { Open } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template rm`: removes a template; its clones run on. */
export function templateRm(open: Open): CommandUnknownOpts {
  return verb("rm", "Remove a template; its clones run on")
    .argument("<template>", "its name")
    .action((name, _options, command) => {
      const { home, output } = open(outputOptions(command));
      removeTemplate(home, name);
      if (output.json) output.object({ removed: "template", name });
      output.talk(`Removed the template "${name}"`);
    });
}
