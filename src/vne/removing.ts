/** Removing an environment from every host that has it: from all, or from none. */

import { StasisError } from "../../ffi/error.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Directory } from "./directory.ts";
import {
  describe,
  dropEnvironment,
  type EnvironmentCard,
  findEnvironment,
  folderOf,
} from "./environments.ts";
import { Lock } from "./files.ts";
import { isBeingJoined } from "./holders.ts";
import { reasonOf } from "./meeting.ts";
import { type Member, membersOf } from "./members.ts";
import { dropNames } from "./names.ts";
import { recordIn, senseless } from "./questions.ts";
import { environmentsOf } from "./ranges.ts";
import { byName, isBanished, isText, lockEnvironment, readSpan, type Span } from "./span.ts";
import { awaitGo, Gathering, withoutAnswer } from "./together.ts";

/** How long all of it may take, in ms. */
const PATIENCE = 30_000;

/** What keeps others away from an environment while it is removed from this host. */
class Removal implements Disposable {
  private constructor(
    readonly session: Session,
    readonly card: EnvironmentCard,
    readonly locks: DisposableStack,
    readonly isEmpty: boolean,
  ) {}

  /** Refuses one that applications run in, unless it goes by force. */
  static async begin(session: Session, name: string, force: boolean): Promise<Removal> {
    const { home } = session;
    using locks = new DisposableStack();
    locks.use(await Lock.on(`${environmentsOf(home)}/.lock`));
    const card = findEnvironment(home, name);
    locks.use(await lockEnvironment(home, name));
    const running = await runningIn(session, card);
    if (!force) requireNobody(session, name, running);
    return new Removal(session, card, locks.move(), running.length === 0);
  }

  async finish(): Promise<void> {
    const { session, card } = this;
    await session.perform("remove_environment", { environment: describe(card) });
    dropEnvironment(session.home, card.name);
    // Members that run on see it still.
    if (this.isEmpty) dropNames(session.home, card);
  }

  [Symbol.dispose](): void {
    this.locks.dispose();
  }
}

async function runningIn(session: Session, card: EnvironmentCard): Promise<Member[]> {
  return membersOf(card, await session.applications()).filter(({ state }) => state === "running");
}

function requireNobody({ home }: Session, name: string, running: readonly Member[]): void {
  if (running.length > 0) throw inUse(name, running.map((one) => `"${one.name}"`));
  if (isBeingJoined(folderOf(home, name))) throw inUse(name, ["what another command starts just now"]);
}

/** Refuses an environment that applications run in. */
export async function requireEmpty(session: Session, card: EnvironmentCard): Promise<void> {
  requireNobody(session, card.name, await runningIn(session, card));
}

/** Removes an environment from this host. The others, if any, are not told. */
export async function removeHere(session: Session, name: string, force: boolean): Promise<void> {
  using removal = await Removal.begin(session, name, force);
  await removal.finish();
}

/** Removes an environment from every host. With `force`, hosts that cannot be reached are passed over. Returns what is to be noted. */
export async function removeEverywhere(
  session: Session,
  card: EnvironmentCard,
  span: Span,
  force: boolean,
): Promise<string[]> {
  const passedOver = new Map<string, string>();
  const gathering = new Gathering(session, span, PATIENCE);
  const args = { environment: card.id, name: card.name, force };
  using held = new DisposableStack();
  let own: Removal | undefined;
  try {
    for (const host of span.hosts.toSorted(byName)) {
      if (host.id === span.self) own = held.use(await Removal.begin(session, card.name, force));
      else {
        try {
          await gathering.begin({ host, question: "vne-remove", args });
        } catch (error) {
          if (!force) throw error;
          passedOver.set(host.name, reasonOf(faultOf(error)));
        }
      }
    }
    await Directory.of(span, card)?.remove();
    await own?.finish();
  } catch (error) {
    await gathering.disperse(error);
    throw notRemoved(card, error);
  }
  for (const { host, why } of withoutAnswer(await gathering.go())) passedOver.set(host.name, why);
  return [...passedOver].map(([name, why]) => `${name} may have it still: ${why}`);
}

/** Answers a host that removes an environment everywhere. */
export async function removeFor(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const { environment, name, force } = recordIn(args);
  if (!isText(name) || typeof force !== "boolean") throw senseless();
  const card = findEnvironment(session.home, name);
  if (card.id !== environment || readSpan(session.home, name) === undefined) throw notThat(name);
  using removal = await Removal.begin(session, name, force);
  await awaitGo(talk, "ready");
  await removal.finish();
  return {};
}

/** The hosts from which an environment is to be removed; one that the others have declared gone has itself alone. */
export function hostsToRemoveFrom(session: Session, name: string): Span | undefined {
  const span = readSpan(session.home, name);
  return span === undefined || isBanished(span) ? undefined : span;
}

function inUse(name: string, who: readonly string[]): StasisError {
  return StasisError.of("other", `Could not remove the environment "${name}"`, {
    causes: [`there run ${who.join(", ")}`],
    hint: "Stop them first, or use --force, which takes their links away",
  });
}

function notThat(name: string): StasisError {
  return StasisError.of("no_target", `Could not find the environment "${name}" that other hosts have`, {
    causes: ["the one here is another one, of this host only"],
  });
}

function notRemoved(card: EnvironmentCard, thrown: unknown): StasisError {
  const fault = faultOf(thrown);
  if (fault.message === `Could not remove the environment "${card.name}"`) return new StasisError(fault);
  return new StasisError({
    ...fault,
    message: `Could not remove the environment "${card.name}" from all of its hosts`,
    causes: [fault.message, ...fault.causes ?? []],
    aftermath: "It is still on all of them",
    hint: fault.hint ?? "With --force, hosts that cannot be reached are passed over",
  });
}
