import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { writeArchive } from "../../archive/files.ts";
import { titleOf } from "../../archive/title.ts";
import { findTemplate } from "../../catalog/templates.ts";
import type { Open } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template export`: a template as one file, for another host. */
export function templateExport(open: Open): CommandUnknownOpts {
  return verb("export", "Put a template into one file, for another host")
    .argument("<template>", "its name")
    .argument("<file>", "a tar archive that is not there yet; - for standard output")
    .action(async (name, file, _options, command) => {
      const session = open(outputOptions(command));
      const { image, rules, rulesPath: _, ...card } = findTemplate(session.home, name);
      // What is damaged here would be found out there only.
      await session.perform("verify", { dir: image });
      await writeArchive(session, file, async (writer) => {
        await writer.title(titleOf({ card }));
        if (rules !== undefined) await writer.text("rules.toml", rules);
        await writer.tree(image, "image");
        await writer.seal();
      });
      if (session.output.json && file !== "-") session.output.object({ exported: "template", name, file });
      session.output.talk(`Put the template "${name}" into ${file === "-" ? "standard output" : file}`);
    });
}
