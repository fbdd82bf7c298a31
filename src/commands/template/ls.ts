import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { lineageOf } from "../../catalog/lineage.ts";
import { listTemplates, type Template } from "../../catalog/templates.ts";
import type { Open } from "../../session.ts";
import { renderLineage, renderTemplates } from "../../ui/templates.ts";
import { outputOptions, verb } from "../../verb.ts";
import { describeTemplate } from "./create.ts";

/** `stasis template ls`: the templates of this user. */
export function templateLs(open: Open): CommandUnknownOpts {
  return verb("ls", "List the templates, by name")
    .option("--tree", "show which template comes of which, and the clones that run")
    .action(async (options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const templates = listTemplates(
        session.home,
        (name, why) => output.talk(`Passing over what cannot be read: ${name}: ${why}`),
      );
      if (options.tree === true) {
        const lineage = lineageOf(templates, await session.applications());
        if (output.json) output.object(lineage);
        else output.lines(renderLineage(lineage, output.quiet));
        return;
      }
      const residents = (await session.perform("loaded", {})).templates;
      const describe = (one: Template) => {
        const resident = residents.find(({ name }) => name === one.name);
        return { ...describeTemplate(one), ...(resident !== undefined && { loaded: resident }) };
      };
      if (output.json) output.object(templates.map(describe));
      else if (output.quiet) output.lines(templates.map((one) => one.name));
      else output.lines(renderTemplates(templates, residents, output.stdout.columns()));
    });
}
