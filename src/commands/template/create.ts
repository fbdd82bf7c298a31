import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Inspection } from "../../../ffi/messages.ts";
import { originOf } from "../../catalog/origin.ts";
import { createTemplate, type TemplateCard } from "../../catalog/templates.ts";
import { provenRules, readRules } from "../../rules/load.ts";
import type { Open } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis template create`: a template of a snapshot, complete on its own. */
export function templateCreate(open: Open): CommandUnknownOpts {
  return verb("create", "Make a template of a snapshot, which may be removed afterwards")
    .usage("[options] (SNAPSHOT | DIR) --name NAME")
    .argument("<snapshot>", "an id, the beginning of one, APP@latest, APP@2, or a folder")
    .requiredOption("--name <NAME>", "call the template NAME")
    .option("--rules <FILE>", "say in FILE what each clone gets of its own")
    .action(async (given, options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const dir = await session.snapshotFolder(given);
      const inspection = await session.perform("inspect", { dir });
      const text = options.rules === undefined ? undefined : readRules(session.absolute(options.rules));
      provenRules(text, options.rules ?? "", inspection);
      // A template that is damaged from the start would be found out by its first clone only.
      await session.perform("verify", { dir });
      // Its volumes are files whose owners and modes matter.
      const volumes = (image: string) => session.perform("link_volumes", { from: dir, to: image });
      const made = await createTemplate(session.home, cardFor(options.name, inspection), dir, text, volumes);
      if (output.json) output.object(describeTemplate(made));
      else output.line(made.name);
      output.talk(`Made the template "${made.name}"; "stasis clone ${made.name}" starts a clone of it`);
    });
}

function cardFor(name: string, { label, links = [] }: Inspection): TemplateCard {
  const origin = originOf(label);
  const [link] = links;
  return {
    name,
    created: new Date().toISOString(),
    ...(label?.id !== undefined && { snapshot: label.id }),
    ...(label?.name !== undefined && { application: label.name }),
    generation: (origin?.generation ?? 0) + 1,
    ...(origin !== undefined && { parent: origin.template }),
    ...(link !== undefined && { environment: link.environment }),
  };
}

/** What `--json` tells of a template. */
export function describeTemplate(
  template: TemplateCard & { image: string; rules?: string },
): Record<string, unknown> {
  const { name, created, snapshot, application, generation, parent, image, rules } = template;
  return { name, created, snapshot, application, generation, parent, image, rules: rules !== undefined };
}
