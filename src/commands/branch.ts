import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application, SnapshotTaken } from "../../ffi/messages.ts";
import { parseAssignments } from "../assignments.ts";
import { checkName, newId } from "../catalog/names.ts";
import { type Draft, draftTemplate, type TemplateCard } from "../catalog/templates.ts";
import { readRules, soundRules } from "../rules/load.ts";
import type { Open, Session } from "../session.ts";
import { formatEnding } from "../ui/ending.ts";
import { count, formatDuration } from "../ui/format.ts";
import { describeTaken } from "../ui/snapshots.ts";
import { collect, outputOptions, verb } from "../verb.ts";
import { makeAndReport, parseCount, planInPlace } from "./clone.ts";

/** What a template is called that nobody will see. */
const UNSEEN = "branch";

/** `stasis branch`: clones of a running application, in one step. */
export function branch(open: Open): CommandUnknownOpts {
  return verb("branch", "Start clones of a running application, which runs on")
    .argument("<app>", "its name or AID")
    .option("--count <N>", "make N of them", parseCount, 1)
    .option("--name <P>", "call them P-1, P-2, ... or, when it is one, P (default: the application's name)")
    .option("--rules <FILE>", "say in FILE what each clone gets of its own")
    .option("--set <K=V>", "set a variable of the rules; may be given more than once", collect)
    .option("--keep <TEMPLATE>", "keep what they are made from as a template of that name")
    .option("--keep-going", "keep the other clones when one cannot be made")
    .action(async (app, options, command) => {
      const session = open(outputOptions(command));
      const begun = performance.now();
      const application = requireRunning(await session.application(app));
      const rules = options.rules === undefined ? undefined : readRules(session.absolute(options.rules));
      // What is wrong in the file itself is found before the application stands still.
      soundRules(rules, options.rules ?? "");
      const set = parseAssignments(options.set ?? [], "--set");
      const name = options.name === undefined ? {} : { name: checkName(options.name) };
      using draft = draftTemplate(session.home, options.keep ?? UNSEEN);
      using interruption = new Interruption(session);
      await take(session, application, draft);
      interruption.check();
      const card = cardFor(application, options.keep ?? application.name);
      const template = draft.as(card, rules);
      const inspection = await session.perform("inspect", { dir: template.image });
      const wishes = {
        template: template.name,
        count: options.count,
        ...name,
        set,
        taken: await session.namesInUse(),
      };
      const sound = soundRules(rules, options.rules ?? "", inspection);
      // Each at an address of its own: that of the application stays its own.
      using planned = await planInPlace(session, sound, wishes, {}, inspection.links?.[0]?.environment);
      const { plans } = planned;
      interruption.check();
      const made = await makeAndReport(session, template, plans, options.keepGoing === true);
      if (options.keep !== undefined) draft.publish(session.home, card, rules);
      const time = formatDuration((performance.now() - begun) * 1000);
      session.output.talk(`${count(made, "clone")} of "${application.name}" made in ${time}`);
    });
}

function requireRunning(application: Application): Application {
  const { name, state } = application;
  if (state === "running") return application;
  throw StasisError.of("no_target", `Could not branch "${name}"`, {
    causes: [state === "lost" ? "it is lost" : `it has ended: ${formatEnding(application)}`],
    hint: "Clones of an application that has ended are made from a template of its snapshot",
  });
}

/** The connections of the application stay its own: clones find them closed. */
async function take(session: Session, application: Application, { image }: Draft): Promise<SnapshotTaken> {
  const { aid, name, origin } = application;
  const taken = await session.perform("snapshot", {
    target: [{ aid }],
    out: image,
    stop: false,
    tcp: "close",
    label: {
      id: newId(),
      name,
      aid,
      tags: [],
      created: new Date().toISOString(),
      ...(origin !== undefined && { origin }),
    },
  });
  session.output.talk(`Took "${name}": ${describeTaken(taken)}`);
  for (const note of taken.notes) session.output.talk(`  note: ${note}`);
  return taken;
}

function cardFor({ name: application, origin }: Application, name: string): TemplateCard {
  return {
    name,
    created: new Date().toISOString(),
    application,
    generation: (origin?.generation ?? 0) + 1,
    ...(origin !== undefined && { parent: origin.template }),
  };
}

/** Between the steps of the command a signal is noted, so that nothing stays behind. */
class Interruption implements Disposable {
  #noted = false;
  readonly #listening: Disposable;

  constructor(session: Session) {
    this.#listening = session.interrupts.take(() => this.#noted = true);
  }

  check(): void {
    if (!this.#noted) return;
    throw StasisError.of("interrupted", "Could not finish", {
      causes: ["it was interrupted"],
      aftermath: "The application runs on unharmed, and no clone was made",
    });
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}
