import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Environment, Network } from "../../ffi/messages.ts";
import { parseAssignments } from "../assignments.ts";
import { checkName } from "../catalog/names.ts";
import { findTemplate, type Template } from "../catalog/templates.ts";
import { type Clone, makeClones, type Reports } from "../cloning.ts";
import { networkOption } from "../network.ts";
import { soundRules } from "../rules/load.ts";
import { nameClones, placesFor, type Plan, planClones, type Wishes } from "../rules/plan.ts";
import { NO_RULES, type Rules } from "../rules/rules.ts";
import type { Open, Session } from "../session.ts";
import { showFault } from "../ui/errors.ts";
import { count, formatDuration } from "../ui/format.ts";
import { collect, outputOptions, verb } from "../verb.ts";
import { joinForClones, vneOption, type Wish } from "../vne/joining.ts";
import { tellOf } from "../vne/meeting.ts";
import { withNames } from "../vne/newcomers.ts";
import {
  parsePublished,
  publish,
  publishedBy,
  publishOption,
  reportPublished,
  requireUnpublished,
} from "../vne/publishing.ts";
import type { Joining } from "../vne/taking.ts";

const MOST = 10_000;

/** `stasis clone`: applications made from a template. */
export function clone(open: Open): CommandUnknownOpts {
  return verb("clone", "Start clones of a template, each an application of its own")
    .argument("<template>", "its name")
    .option("--count <N>", "make N of them", parseCount, 1)
    .option("--name <P>", "call them P-1, P-2, ... or, when it is one, P (default: the template's name)")
    .option("--set <K=V>", "set a variable of the rules; may be given more than once", collect)
    .addOption(networkOption("as it was"))
    .addOption(vneOption())
    .addOption(publishOption())
    .option("--keep-going", "keep the other clones when one cannot be made")
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const begun = performance.now();
      const template = findTemplate(session.home, name);
      const rules = await rulesOf(session, template);
      const wishes = {
        template: template.name,
        count: options.count,
        ...(options.name !== undefined && { name: checkName(options.name) }),
        set: parseAssignments(options.set ?? [], "--set"),
        taken: await session.namesInUse(),
      };
      const { publish } = options;
      using planned = await planInPlace(session, rules, wishes, options, template.environment, publish);
      const { plans } = planned;
      const made = await makeAndReport(session, template, plans, options.keepGoing === true);
      const time = formatDuration((performance.now() - begun) * 1000);
      session.output.talk(`${count(made, "clone")} of "${name}" made in ${time}`);
    });
}

/** Clones that are planned down to their addresses. Dispose of it when they are made, or came to nothing. */
export class Planned implements Disposable {
  constructor(readonly plans: readonly Plan[], readonly joining: Joining) {}

  [Symbol.dispose](): void {
    this.joining[Symbol.dispose]();
  }
}

/** Plans clones, and takes their addresses; `saved` is the environment of what they are clones of. */
export async function planInPlace(
  session: Session,
  rules: Rules,
  wishes: Wishes,
  wish: Wish,
  saved: Environment | undefined,
  ports?: readonly string[],
): Promise<Planned> {
  const named = nameClones(rules, wishes);
  const places = placesFor(rules, wishes, named);
  const joining = await joinForClones(session, wish, saved, wishes.count, places);
  try {
    const { networks } = joining;
    const drafts = planClones(rules, { ...wishes, addresses: networks.map(addressOf) }, named);
    const plans = drafts.map((plan, index) => {
      const published = ports === undefined ? plan.publish : parsePublished(ports);
      const network = publish(networks[index], published);
      return network === undefined ? plan : { ...plan, network };
    });
    if (plans.some(({ network }) => network !== undefined && publishedBy({ network }).length > 0)) {
      requireUnpublished(plans.map(({ network }) => network), await session.applications());
    }
    return new Planned(plans, joining);
  } catch (error) {
    joining[Symbol.dispose]();
    throw error;
  }
}

/** The first address that a clone has, without the length of its prefix. */
function addressOf(network: Network | undefined): string | undefined {
  if (network === undefined || network === "host") return undefined;
  return network.own.links?.[0]?.addresses?.[0]?.split("/")[0];
}

/** The image says whether rules are sound for it; without rules nobody needs to ask. */
async function rulesOf(session: Session, { image, rules, rulesPath }: Template): Promise<Rules> {
  if (rules === undefined) return NO_RULES;
  return soundRules(rules, rulesPath, await session.perform("inspect", { dir: image }));
}

/** Makes clones and tells of each as it comes to life. Returns how many there are. */
export async function makeAndReport(
  session: Session,
  template: Template,
  plans: readonly Plan[],
  keepGoing: boolean,
): Promise<number> {
  const made: Clone[] = [];
  const reports: Reports = { made: (one) => report(session, one, made.push(one), plans.length) };
  if (keepGoing) reports.failed = (fault) => showFailure(session, fault);
  await withNames(
    session,
    plans,
    () => makeClones(session, template, plans, reports),
    () => made.length === plans.length,
  );
  for (const { aid, plan } of made) await reportPublished(session, aid, plan.network);
  await tellOf(session, made.map(({ plan }) => plan.network));
  return made.length;
}

/** The N of `--count N`. */
export function parseCount(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= MOST) return number;
  throw StasisError.of("usage", `Could not understand the count "${text}"`, {
    hint: `Write a number from 1 to ${MOST}`,
  });
}

function report({ output }: Session, { aid, plan, restored }: Clone, done: number, all: number): void {
  const { number, name, hostname } = plan;
  if (output.json) output.object({ aid, name, number, hostname, ...restored });
  else output.line(aid);
  const place = all === 1 ? "" : ` (${done} of ${all})`;
  output.talk(
    `"${name}" runs with pid ${restored.pid}, made in ${formatDuration(restored.total_us)}${place}`,
  );
  for (const note of restored.notes ?? []) output.talk(`  note: ${note}`);
}

/** The first failure decides the exit code. */
function showFailure(session: Session, fault: Parameters<typeof showFault>[0]): void {
  showFault(fault, session.output);
  if (session.exitCode === 0) session.exitCode = fault.exit;
}
