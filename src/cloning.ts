import { EXIT_CODES, type Fault, StasisError } from "../ffi/error.ts";
import type { Home, Restored, RestoreRequest } from "../ffi/messages.ts";
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

/** Clones that one request to the engine makes. */
const BATCH = 200;

/**
 * Makes the clones of one command, several at a time. When one cannot be made, or a signal comes, all that this command
 * had made are removed again; with `reports.failed`, a failure costs that one clone only.
 */
export async function makeClones(
  session: Session,
  template: Template,
  plans: readonly Plan[],
  reports: Reports,
): Promise<void> {
  await new Cloning(session, template, plans.length, reports).make(plans);
}

/** All that can be decided ahead about a clone. */
interface Prepared {
  plan: Plan;
  request: RestoreRequest & { home: Home };
}

class Cloning {
  readonly #made: Clone[] = [];
  #interrupted = false;

  constructor(
    readonly session: Session,
    readonly template: Template,
    readonly count: number,
    readonly reports: Reports,
  ) {}

  async make(plans: readonly Plan[]): Promise<void> {
    // Between steps a signal is noted, not lost.
    using _listening = this.session.interrupts.take(() => this.#interrupted = true);
    const ready: Prepared[] = [];
    for (const plan of plans) {
      const prepared = await this.#attempt(plan, () => this.#prepare(plan));
      if (prepared !== undefined) ready.push(prepared);
    }
    for (let first = 0; first < ready.length; first += BATCH) {
      for (const clone of await this.#bringUp(ready.slice(first, first + BATCH), first > 0)) {
        await this.#attempt(clone.plan, () => this.#finish(clone), clone);
      }
    }
  }

  /** Does one step of a clone. `undefined` when it failed and the rest goes on. */
  async #attempt<T>(plan: Plan, step: () => Promise<T>, clone?: Clone): Promise<T | undefined> {
    try {
      this.#goOn();
      return await step();
    } catch (thrown) {
      await this.#fail(faultOf(thrown), plan, clone);
      return undefined;
    }
  }

  /** Removes what has to go, and tells of it: by a report where the rest goes on, else by an error. */
  async #fail(fault: Fault, plan: Plan, clone?: Clone): Promise<void> {
    const goOn = fault.code === "interrupted" ? undefined : this.reports.failed;
    const doomed = goOn === undefined ? this.#made.splice(0) : clone === undefined ? [] : [clone];
    if (clone !== undefined && goOn !== undefined) this.#made.splice(this.#made.indexOf(clone), 1);
    const failure = describeFailure(fault, plan, this.count, await removeClones(this.session, doomed));
    if (goOn === undefined) throw new StasisError(failure);
    goOn(failure);
  }

  #goOn(): void {
    if (this.#interrupted) {
      throw StasisError.of("interrupted", "Could not finish", { causes: ["it was interrupted"] });
    }
  }

  /** Runs the hooks, and then reads the files whose text is changed. */
  async #prepare(plan: Plan): Promise<Prepared> {
    for (const words of plan.before) await runHook(this.session, words, environmentOf(this.template, plan));
    this.#goOn();
    return { plan, request: this.#request(plan) };
  }

  /**
   * Makes the applications. Those that live are among those made, whatever became of the others. `checked`: an earlier request
   * had the image compared with its checksums.
   */
  async #bringUp(ready: readonly Prepared[], checked: boolean): Promise<Clone[]> {
    const restores = ready.map(({ request }) => ({ ...request, checked }));
    const keep_going = this.reports.failed !== undefined;
    const { outcomes } = await this.session.perform("clone", { restores, keep_going });
    const made: Clone[] = [];
    const failed: [Plan, Fault][] = [];
    let left: Plan | undefined;
    for (const [index, { plan }] of ready.entries()) {
      const outcome = outcomes[index] ?? "left";
      if (outcome === "left") left ??= plan;
      else if ("failed" in outcome) failed.push([plan, outcome.failed]);
      else if (outcome.made.aid !== undefined) {
        made.push({ plan, aid: outcome.made.aid, restored: outcome.made });
      }
    }
    this.#made.push(...made);
    for (const [plan, fault] of failed) await this.#fail(fault, plan);
    if (left !== undefined) {
      this.#interrupted = true;
      await this.#attempt(left, () => Promise.resolve());
    }
    return made;
  }

  #request(plan: Plan): RestoreRequest & { home: Home } {
    const { template, session } = this;
    const { name, hostname, files, tcp, network, customising } = plan;
    const edits = editsOf(customising);
    if (plan.insideBefore.length > 0) {
      const environment = { ...session.caller.env, ...environmentOf(template, plan) };
      edits.before = { commands: plan.insideBefore, environment };
    }
    return {
      home: session.home,
      dir: template.image,
      name,
      hostname,
      files,
      ...(tcp !== undefined && { tcp }),
      ...(Object.keys(edits).length > 0 && { edits }),
      ...(network !== undefined && { network }),
      origin: { template: template.name, generation: template.generation },
      detach: true,
      terminal: false,
    };
  }

  async #finish(clone: Clone): Promise<void> {
    const { session } = this;
    const { aid, plan, restored } = clone;
    if (plan.signal !== undefined) await session.perform("signal", { aid, signal: plan.signal });
    const known = { STASIS_CLONE_AID: aid, STASIS_CLONE_PID: String(restored.pid) };
    const env = { ...environmentOf(this.template, plan), ...known };
    for (const words of plan.insideAfter) await runInside(session, aid, words, env);
    for (const words of plan.after) await runHook(session, words, env);
    this.#goOn();
    report(clone, this.reports);
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
  await Promise.all(clones.map(async ({ aid, plan }) => {
    try {
      await removeAgain(session, aid);
    } catch (thrown) {
      const { message, causes = [] } = faultOf(thrown);
      left.push(`"${plan.name}" (${aid}) is still there: ${[message, ...causes].join(": ")}`);
    }
  }));
  return { removed: clones.length - left.length, left };
}

/** Ends an application that this command has made, and forgets it. */
export async function removeAgain({ engine }: Session, aid: string): Promise<void> {
  try {
    await engine.start("signal", { aid, signal: numberOf("SIGKILL") }).done;
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof StasisError) || error.fault.code !== "no_target") throw error;
  }
  try {
    await engine.start("wait", { aid }).done;
  } catch (error) {
    // On a full disk nobody could note how it ended. Should it live on, it cannot be removed, and that is told.
    if (!(error instanceof StasisError)) throw error;
  }
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
