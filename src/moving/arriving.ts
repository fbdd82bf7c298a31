/** Taking in an application that comes from another host. */

import type { Job } from "../../ffi/client.ts";
import { StasisError } from "../../ffi/error.ts";
import {
  type BackOutcome,
  type Home,
  RESTORE_GATES,
  type Restored,
  type RestoreRequest,
} from "../../ffi/messages.ts";
import { Arrivals } from "../catalog/arrivals.ts";
import { isFolder } from "../catalog/home.ts";
import { originOf } from "../catalog/origin.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { joinForMove } from "../vne/joining.ts";
import { tellOf } from "../vne/meeting.ts";
import { returningHostname, withNames } from "../vne/newcomers.ts";
import { own } from "./owning.ts";
import { FIRST, LAST, type Order, orderIn, type Outcome, WORDS } from "./order.ts";
import { hearWord, receiveFolder } from "./parcels.ts";

/**
 * Answers a host that an application is to leave. Nothing of it is to be seen here before that host says that it has ended there; when
 * the host is gone before, nothing is left.
 */
export async function arrive(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const order = orderIn(args);
  await requireName(session, order.name);
  using joining = await joinForMove(session, order);
  using place = Arrivals.open(session.home);
  await talk.say(WORDS.ready);
  const files = await receiveFolder(talk, place.folder, FIRST, { durable: false });
  const arrival = new Arrival(session, order, joining.request);
  await arrival.rehearse(`${place.folder}/${FIRST}`);
  await talk.say(WORDS.prepared);
  await hearWord(talk, WORDS.coming);
  const begun = performance.now();
  await receiveFolder(talk, place.folder, LAST, { known: files, durable: false });
  const received = performance.now();
  const outcome = await arrival.bringBack(`${place.folder}/${LAST}`, talk, { begun, received });
  // From here on nothing is undone: whether it is heard is the other host's concern.
  await talk.say(outcome).catch(() => {});
  if (!("alive" in outcome)) return {};
  const notes = await own(session, order);
  await tellOf(session, joining.networks);
  return { notes };
}

async function requireName(session: Session, name: string): Promise<void> {
  if (!(await session.namesInUse()).has(name)) return;
  throw StasisError.of("usage", `Could not take in "${name}"`, {
    causes: ["an application here has this name"],
    hint: "Stop that one first, or start it under another name",
  });
}

/** Ends an operation that has come as far as it should. */
class Enough extends Error {}

class Arrival {
  /** What its image says of it, for the requests that bring it back. */
  #own: Pick<RestoreRequest, "origin" | "hostname"> = {};
  #hostname: string | undefined;

  constructor(
    readonly session: Session,
    readonly order: Order,
    readonly network: Pick<RestoreRequest, "network">,
  ) {}

  /** Builds it and takes it down again: what could keep it from coming back here is found while it runs there. */
  async rehearse(dir: string): Promise<void> {
    const { session } = this;
    await adoptVolumes(session, dir);
    await session.perform("verify", { dir });
    await this.#readLabel(dir);
    try {
      const restores = [{ ...this.#request(dir), checked: true }];
      const { outcomes } = await session.perform("restore_together", { restores }, async (job) => {
        if (await job.reached(RESTORE_GATES.built)) throw new Enough();
      });
      throw failureIn(outcomes);
    } catch (error) {
      if (!(error instanceof Enough)) throw error;
    }
  }

  /** Builds it, waits for the word, and lets it go on. */
  async bringBack(
    dir: string,
    talk: Talk,
    { begun, received }: { begun: number; received: number },
  ): Promise<Outcome> {
    const { session } = this;
    await adoptVolumes(session, dir);
    const request = { ...this.#request(dir), others_checked: true };
    let [built, told] = [0, 0];
    const lead = async (job: Job<unknown>) => {
      if (!await job.reached(RESTORE_GATES.built)) return;
      built = performance.now();
      await talk.say(WORDS.built);
      await hearWord(talk, WORDS.go);
      told = performance.now();
      job.open(RESTORE_GATES.linked);
    };
    const restore = () => session.perform("restore_together", { restores: [request] }, lead);
    try {
      const newcomer = { hostname: this.#hostname, ...request };
      const { outcomes } = await withNames(session, [newcomer], restore);
      const { aid = "", pid, notes = [] } = restoredIn(outcomes);
      const released = performance.now() - told;
      const times = { received: received - begun, built: built - received, released };
      return { alive: { aid, pid, notes, times } };
    } catch (error) {
      // Before the word it runs on where it is, and nobody needs to be told.
      if (told === 0) throw error;
      return { failed: faultOf(error), left: await this.#isHere() };
    }
  }

  #request(dir: string): RestoreRequest & { home: Home } {
    const { order: { name, tcp }, network, session: { home } } = this;
    const how = { dir, name, detach: true, terminal: false, ...(tcp !== undefined && { tcp }) };
    return { home, ...how, ...this.#own, ...network };
  }

  async #readLabel(dir: string): Promise<void> {
    const { session, order: { name } } = this;
    const inspection = await session.perform("inspect", { dir });
    if (inspection.label?.name !== name) {
      throw StasisError.of("usage", `Could not take in "${name}"`, {
        causes: ["what was sent is another one"],
      });
    }
    const origin = originOf(inspection.label);
    this.#hostname = inspection.hostname;
    this.#own = {
      ...returningHostname(this.network.network, name, inspection),
      ...(origin !== undefined && { origin }),
    };
  }

  async #isHere(): Promise<boolean> {
    try {
      return (await this.session.namesInUse()).has(this.order.name);
    } catch {
      return true;
    }
  }
}

async function adoptVolumes(session: Session, dir: string): Promise<void> {
  if (isFolder(`${dir}/volumes`)) await session.perform("adopt_volumes", { dir });
}

function restoredIn(outcomes: readonly BackOutcome[]): Restored {
  const [only] = outcomes;
  if (only !== undefined && "made" in only) return only.made;
  throw failureIn(outcomes);
}

function failureIn(outcomes: readonly BackOutcome[]): StasisError {
  const [only] = outcomes;
  if (only !== undefined && "failed" in only) return new StasisError(only.failed.fault);
  return StasisError.of("internal", "Could not take in the application");
}
