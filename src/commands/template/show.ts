import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { findTemplate } from "../../catalog/templates.ts";
import { classify } from "../../rules/classes.ts";
import { soundRules } from "../../rules/load.ts";
import type { Open } from "../../session.ts";
import { renderTemplate } from "../../ui/templates.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template show`: what clones share, and what each gets of its own. */
export function templateShow(open: Open): CommandUnknownOpts {
  return verb("show", "Show every resource of a template, and what a clone gets of it")
    .argument("<template>", "its name")
    .action(async (name, _options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const template = findTemplate(session.home, name);
      const inspection = await session.perform("inspect", { dir: template.image });
      const { rows } = await session.perform("ids", { dir: template.image });
      const rules = soundRules(template.rules, template.rulesPath, inspection);
      const resources = classify(inspection, rows, rules);
      const { created, snapshot, application, generation, parent, image } = template;
      const card = { name, created, snapshot, application, generation, parent, image };
      if (output.json) output.object({ ...card, rules, resources });
      else output.lines(renderTemplate(template, resources, output.stdout.columns()));
    });
}
