import { EXIT_CODES, type Fault, StasisError } from "../ffi/error.ts";
import type { Restored } from "../ffi/messages.ts";
import type { Template } from "./catalog/templates.ts";
import { runHook, runInside } from "./hooks.ts";
import { editsOf } from "./rules/texts.ts";
import type { Plan } from "./rules/plan.ts";
import type { Session } from "./session.ts";
import { numberOf } from "./signals.ts";
import { faultOf } from "./ui/errors.ts";

/** A clone that runs. */
export interface Clone {
  plan: Plan;
  aid: string;
  restored: Restored;
}

export interface Reports {
  made(clone: Clone): void;
  /** A clone came to nothing and the rest goes on. Without this, the first failure ends it all. */
  failed?: (fault: Fault) => void;
}

/**
 * Makes the clones of one command, one after the other. When one cannot be made, or a signal comes, all that this command
 * had made are removed again; with `reports.failed`, a failure costs that one clone only.
 */
export async function makeClones(
  session: Session,
  template: Template,
  plans: readonly Plan[],
  reports: Reports,
): Promise<void> {
  // Once for all of them: the image does not change, and to read it whole takes longest.
  await session.perform("verify", { dir: template.image });
  const made: Clone[] = [];
  for (const plan of plans) {
    const before = made.length;
    try {
      await makeClone(session, template, plan, made);
      for (const clone of made.slice(before)) report(clone, reports);
    } catch (thrown) {
      const fault = faultOf(thrown);
      const goOn = fault.code === "interrupted" ? undefined : reports.failed;
      const doomed = made.splice(goOn === undefined ? 0 : before);
      const failure = describeFailure(fault, plan, plans.length, await removeClones(session, doomed));
      if (goOn === undefined) throw new StasisError(failure);
      goOn(failure);
    }
  }
}

/** Clones that nobody hears of would be lost: a reader that has gone is a failure. */
function report(clone: Clone, reports: Reports): void {
  try {
    reports.made(clone);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    throw StasisError.of("other", "Could not write to standard output", {
      causes: ["nobody reads it any more"],
    });
  }
}

/** Makes one clone, and puts it among those made as soon as it lives. Between steps a signal is noted, not lost. */
async function makeClone(session: Session, template: Template, plan: Plan, made: Clone[]): Promise<void> {
  let interrupted = false;
  using _listening = session.interrupts.take(() => interrupted = true);
  const goOn = () => {
    if (interrupted) {
      throw StasisError.of("interrupted", "Could not finish", { causes: ["it was interrupted"] });
    }
  };
  const env = environmentOf(template, plan);
  for (const words of plan.before) await runHook(session, words, env);
  goOn();
  const restored = await bringUp(session, template, plan);
  const { aid, pid } = restored;
  if (aid === undefined) throw StasisError.of("internal", "Could not learn the AID of a clone");
  made.push({ plan, aid, restored });
  goOn();
  if (plan.signal !== undefined) await session.perform("signal", { aid, signal: plan.signal });
  const known = { ...env, STASIS_CLONE_AID: aid, STASIS_CLONE_PID: String(pid) };
  for (const words of plan.insideAfter) await runInside(session, aid, words, known);
  for (const words of plan.after) await runHook(session, words, known);
  goOn();
}

function bringUp(session: Session, template: Template, plan: Plan): Promise<Restored> {
  const { name, hostname, files, tcp, customising } = plan;
  const edits = editsOf(customising);
  return session.perform("restore", {
    dir: template.image,
    name,
    hostname,
    files,
    ...(Object.keys(edits).length > 0 && { edits }),
    ...(tcp !== undefined && { tcp }),
    origin: { template: template.name, generation: template.generation },
    checked: true,
    detach: true,
    terminal: false,
  });
}

function environmentOf(template: Template, plan: Plan): Record<string, string> {
  return {
    STASIS_CLONE_TEMPLATE: template.name,
    STASIS_CLONE_NAME: plan.name,
    STASIS_CLONE_NUMBER: String(plan.number),
    STASIS_CLONE_HOSTNAME: plan.hostname,
  };
}

/** What became of clones that were to be removed. */
interface Removal {
  removed: number;
  /** Those that are still there, each with why. */
  left: string[];
}

/** Kills and forgets clones. A signal does not keep this from ending: it is what makes the failure whole. */
async function removeClones(session: Session, clones: readonly Clone[]): Promise<Removal> {
  using _deaf = session.interrupts.take(() => {});
  const left: string[] = [];
  for (const { aid, plan } of clones.toReversed()) {
    try {
      await removeClone(session, aid);
    } catch (thrown) {
      const { message, causes = [] } = faultOf(thrown);
      left.push(`"${plan.name}" (${aid}) is still there: ${[message, ...causes].join(": ")}`);
    }
  }
  return { removed: clones.length - left.length, left };
}

async function removeClone({ engine }: Session, aid: string): Promise<void> {
  try {
    await engine.start("signal", { aid, signal: numberOf("SIGKILL") }).done;
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof StasisError) || error.fault.code !== "no_target") throw error;
  }
  await engine.start("wait", { aid }).done;
  await engine.start("remove", { aid }).done;
}

/**
 * The error of one clone: which one, why, and what became of it and the others. The exit code is that of the cause, except where
 * something could not be removed.
 */
function describeFailure(fault: Fault, plan: Plan, count: number, { removed, left }: Removal): Fault {
  const code = left.length > 0 ? "restore_left" : fault.code;
  const gone = removed === 1 ? "1 clone was removed again" : `${removed} clones were removed again`;
  return {
    code,
    exit: EXIT_CODES[code],
    message: `Could not make the clone "${plan.name}", number ${plan.number}, of ${count}`,
    causes: [fault.message, ...(fault.causes ?? []), ...left],
    aftermath: [
      ...(removed > 0 ? [gone] : []),
      left.length > 0 ? "Not all could be removed" : "Nothing was left behind",
    ]
      .join("; "),
    ...(fault.hint !== undefined && { hint: fault.hint }),
  };
}
