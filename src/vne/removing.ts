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
import {
  byName,
  type Host,
  isBanished,
  isText,
  lockEnvironment,
  readSpan,
  type Span,
  wordIn,
  wordOf,
} from "./span.ts";
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
  using held = new DisposableStack();
  let own: Removal | undefined;
  try {
    const hosts = span.hosts.toSorted(byName);
    const known = new Set([...hosts, ...span.gone].map(({ id }) => id));
    // Some may know of others, which are asked as well.
    for (const host of hosts) {
      if (host.id === span.self) own = held.use(await Removal.begin(session, card.name, force));
      else {
        const told = await begin(gathering, card, host, force).catch((error: unknown) => {
          if (!force) throw error;
          passedOver.set(host.name, reasonOf(faultOf(error)));
          return [];
        });
        hosts.push(...told.filter(({ id }) => !known.has(id)));
        for (const { id } of told) known.add(id);
      }
    }
    await strike(span, card, force, passedOver);
    await own?.finish();
  } catch (error) {
    await gathering.disperse(error);
    throw notRemoved(card, error);
  }
  for (const { host, why } of withoutAnswer(await gathering.go())) passedOver.set(host.name, why);
  return [...passedOver].map(([name, why]) => `${name} may have it still: ${why}`);
}

/** Has a host get ready to remove it. Returns the hosts that it knows of. */
async function begin(
  gathering: Gathering,
  { id, name }: EnvironmentCard,
  host: Host,
  force: boolean,
): Promise<readonly Host[]> {
  const args = { environment: id, name, force };
  const word = wordIn(await gathering.begin({ host, question: "vne-remove", args }));
  if (word === undefined) throw senseless();
  return word.hosts;
}

/** Takes it out of the directory. */
async function strike(
  span: Span,
  card: EnvironmentCard,
  force: boolean,
  passedOver: Map<string, string>,
): Promise<void> {
  try {
    await Directory.of(span, card)?.remove();
  } catch (error) {
    if (!force) throw error;
    passedOver.set("The directory", reasonOf(faultOf(error)));
  }
}

/** Answers a host that removes an environment everywhere. */
export async function removeFor(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const { environment, name, force } = recordIn(args);
  if (!isText(name) || typeof force !== "boolean") throw senseless();
  const card = findEnvironment(session.home, name);
  const span = readSpan(session.home, name);
  if (card.id !== environment || span === undefined) throw notThat(name);
  using removal = await Removal.begin(session, name, force);
  await awaitGo(talk, wordOf(span));
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
