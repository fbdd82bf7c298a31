import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import { readArchive } from "../../archive/files.ts";
import { damaged } from "../../archive/header.ts";
import { TEMPLATE } from "../../archive/layouts.ts";
import type { ArchiveReader } from "../../archive/reader.ts";
import { parseTitle } from "../../archive/title.ts";
import { unpack } from "../../archive/unpack.ts";
import { draftTemplate, soundCard, type Template, type TemplateCard } from "../../catalog/templates.ts";
import { soundRules } from "../../rules/load.ts";
import type { Open, Session } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";
import { describeTemplate } from "./create.ts";

/** `stasis template import`: a template from a file that `export` made. */
export function templateImport(open: Open): CommandUnknownOpts {
  return verb("import", "Take in a template that was put into a file")
    .argument("<file>", "an archive of stasis template export; - for standard input")
    .option("--name <NAME>", "call the template NAME (default: the name it had)")
    .action(async (file, options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const made = await readArchive(session, file, async (reader) => {
        const card = cardIn(await reader.title());
        return await takeIn(session, reader, card, options.name ?? card.name);
      });
      if (output.json) output.object(describeTemplate(made));
      else output.line(made.name);
      output.talk(`Made the template "${made.name}"; "stasis clone ${made.name}" starts a clone of it`);
    });
}

function cardIn(text: string): TemplateCard {
  const title = parseTitle(text);
  if (title.kind === "snapshot") {
    throw StasisError.of("usage", "Could not import a template", {
      causes: ["the archive holds a snapshot"],
      hint: "Write stasis import FILE",
    });
  }
  const card = soundCard(title.card);
  if (card === undefined) throw damaged("it does not describe a template");
  return card;
}

/** Nothing of it has a name before all of it was checked. */
async function takeIn(
  session: Session,
  reader: ArchiveReader,
  card: TemplateCard,
  name: string,
): Promise<Template> {
  using draft = draftTemplate(session.home, name);
  await unpack(reader, draft.folder, TEMPLATE);
  const inspection = await session.perform("inspect", { dir: draft.image });
  await session.perform("adopt_volumes", { dir: draft.image });
  await session.perform("verify", { dir: draft.image });
  const rules = draft.rules();
  soundRules(rules, `rules of "${name}"`, inspection);
  return draft.publish(session.home, card);
}
