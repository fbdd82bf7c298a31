import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import { parseAssignments } from "../../assignments.ts";
import { findTemplate } from "../../catalog/templates.ts";
import { provenRules, readRules } from "../../rules/load.ts";
import { nameClones, placesFor, planClones } from "../../rules/plan.ts";
import type { Rules } from "../../rules/rules.ts";
import { tryTexts } from "../../rules/texts.ts";
import type { Open, Session } from "../../session.ts";
import { renderPlan } from "../../ui/templates.ts";
import { collect, outputOptions, verb } from "../../verb.ts";

/** `stasis template check`: what rules would do, without doing it. */
export function templateCheck(open: Open): CommandUnknownOpts {
  return verb("check", "Check rules, and show what they would do for a first clone")
    .usage("[options] (TEMPLATE | --rules FILE | TEMPLATE --rules FILE)")
    .argument("[template]", "its name")
    .option("--rules <FILE>", "check the rules in FILE, for TEMPLATE where one is named")
    .option("--set <K=V>", "set a variable of the rules; may be given more than once", collect)
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      if (name === undefined && options.rules === undefined) {
        throw StasisError.of("usage", "Could not tell which rules to check", {
          causes: ["neither TEMPLATE nor --rules was given"],
        });
      }
      const rules = await rulesOf(session, name, options.rules);
      const set = parseAssignments(options.set ?? [], "--set");
      const taken = name === undefined ? new Set<string>() : await session.namesInUse();
      const wishes = { template: name ?? "template", count: 1, set, taken };
      const named = nameClones(rules, wishes);
      const { addresses } = placesFor(rules, wishes, named);
      const [plan] = planClones(rules, { ...wishes, addresses }, named);
      if (plan === undefined) return;
      const texts = tryTexts(plan.customising.texts);
      if (session.output.json) session.output.object({ ok: true, clone: plan, texts });
      else session.output.lines(renderPlan(plan, texts));
    });
}

async function rulesOf(session: Session, name?: string, file?: string): Promise<Rules> {
  const template = name === undefined ? undefined : findTemplate(session.home, name);
  const dir = template?.image;
  const inspection = dir === undefined ? undefined : await session.perform("inspect", { dir });
  if (file === undefined) return provenRules(template?.rules, template?.rulesPath ?? "", inspection);
  return provenRules(readRules(session.absolute(file)), file, inspection);
}
