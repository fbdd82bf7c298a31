import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { removeTemplate, requireTemplate } from "../../catalog/templates.ts";
import type { Open, Session } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template rm`: removes a template; its clones run on. */
export function templateRm(open: Open): CommandUnknownOpts {
  return verb("rm", "Remove a template; its clones run on")
    .argument("<template>", "its name")
    .action(async (name, _options, command) => {
      const session = open(outputOptions(command));
      const { home, output } = session;
      requireTemplate(home, name);
      await unloadTemplate(session, name);
      removeTemplate(home, name);
      if (output.json) output.object({ removed: "template", name });
      output.talk(`Removed the template "${name}"`);
    });
}

/** Ends the helper that holds the template in memory, if there is one. */
async function unloadTemplate(session: Session, name: string): Promise<void> {
  const { templates } = await session.perform("loaded", {});
  if (templates.some((one) => one.name === name)) await session.perform("unload", { name });
}
