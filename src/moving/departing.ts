/** Sending a running application to another host. */

import { StasisError } from "../../ffi/error.ts";
import {
  type Application,
  type Home,
  type Label,
  SNAPSHOT_GATES,
  type SnapshotRequest,
  type SnapshotTaken,
  type Tcp,
} from "../../ffi/messages.ts";
import { discardSnapshot } from "../catalog/discard.ts";
import { isFolder, makePrivateFolder, storeOf } from "../catalog/home.ts";
import { newId } from "../catalog/names.ts";
import { Conversation, type Peer } from "../remote/conversation.ts";
import { faultIn } from "../remote/faults.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { tellOf } from "../vne/meeting.ts";
import { forgetNames } from "../vne/newcomers.ts";
import { inDoubt, ranOn, restoredHere } from "./endings.ts";
import { FIRST, hearOutcome, LAST, MOVE, notesIn, type Order, type Outcome, WORDS } from "./order.ts";
import { hearWord, sendFolder } from "./parcels.ts";
import { type Marks, type Moved, movedOf } from "./report.ts";

/** How an application is moved. */
export interface Manner {
  tcp?: Tcp;
  /** Whether the snapshots that are made of it stay. */
  keep: boolean;
}

/** How long its processes may take to be stopped and captured, in ms. */
const STOPPING = 10_000;
/** How long it may stand still until it is complete on the other host, and that host then take to let it go on, in ms. */
const PATIENCE = 60_000;

/** Moves an application; whatever fails, it runs here, or the error says what is known. */
export async function moveApplication(
  session: Session,
  application: Application,
  peer: Peer,
  manner: Manner,
): Promise<Moved> {
  const departure = new Departure(session, application, peer, manner);
  // What is begun must come to one of its ends.
  using _deaf = session.interrupts.take(() => {});
  try {
    return await departure.move();
  } finally {
    departure.tidy();
  }
}

/** It runs here; is stopped here; the other host was told to let it go on; has said what came of it. */
type Stage = "here" | "stopped" | "told" | "heard";

class Departure {
  #stage: Stage = "here";
  readonly #marks: Marks = { frozen: 0, captured: 0, sent: 0, built: 0, ended: 0, alive: 0 };
  readonly #ids = { first: newId(), last: newId() };
  #taken: { first: SnapshotTaken; last: SnapshotTaken } | undefined;
  #outcome: Outcome | undefined;
  #limit: ReturnType<typeof setTimeout> | undefined;
  /** The last snapshot is all that there is of it, maybe. */
  #precious = false;

  constructor(
    readonly session: Session,
    readonly application: Application,
    readonly peer: Peer,
    readonly manner: Manner,
  ) {}

  async move(): Promise<Moved> {
    const notes: string[] = [];
    try {
      notes.push(...await this.#converse());
    } catch (thrown) {
      if (this.#outcome === undefined) throw await this.#failed(thrown);
      // It lives there, or does not: that was said before the connection was lost.
      notes.push(textOf(thrown));
    }
    const outcome = this.#outcome;
    if (outcome === undefined || "failed" in outcome) throw await this.#refused(outcome);
    return await this.#settled(outcome, notes);
  }

  async #converse(): Promise<string[]> {
    await using there = await Conversation.open(this.session, this.peer);
    try {
      return notesIn(await there.ask(MOVE, this.#order(), (talk) => this.#lead(talk, there)));
    } finally {
      clearTimeout(this.#limit);
    }
  }

  async #lead(talk: Talk, there: Conversation): Promise<void> {
    await hearWord(talk, WORDS.ready);
    makePrivateFolder(storeOf(this.session.home));
    const [first, last] = [this.#request("first"), this.#request("last")];
    const request = { first, last, patience_ms: STOPPING };
    this.#taken = await this.session.perform("depart", request, async (job) => {
      if (!await job.reached(SNAPSHOT_GATES.prepared)) return;
      await sendFolder(talk, { dir: first.out, path: FIRST });
      await hearWord(talk, WORDS.prepared);
      this.#hurry(there);
      this.#mark("frozen");
      job.open(SNAPSHOT_GATES.collected);
      if (!await job.reached(SNAPSHOT_GATES.saved)) return;
      this.#mark("captured");
      await talk.say(WORDS.coming);
      await sendFolder(talk, { dir: last.out, path: LAST }, { dir: first.out, path: FIRST });
      this.#mark("sent");
      await hearWord(talk, WORDS.built);
      this.#mark("built");
      this.#stage = "stopped";
      job.open(SNAPSHOT_GATES.saved);
    });
    this.#mark("ended");
    talk.gone.throwIfAborted();
    this.#hurry(there);
    await talk.say(WORDS.go);
    this.#stage = "told";
    this.#outcome = await hearOutcome(talk);
    this.#mark("alive");
    this.#stage = "heard";
    clearTimeout(this.#limit);
  }

  /** Nobody waits for ever while it stands still. */
  #hurry({ child }: Conversation): void {
    clearTimeout(this.#limit);
    this.#limit = setTimeout(() => child.kill("SIGTERM"), PATIENCE);
  }

  #mark(name: keyof Marks): void {
    this.#marks[name] = performance.now();
  }

  #order(): Order {
    const { network, name } = this.application;
    const { tcp } = this.manner;
    const links = network === "host" ? [] : network.own.links ?? [];
    return { name, links, ...(tcp !== undefined && { tcp }) };
  }

  #request(which: "first" | "last"): SnapshotRequest & { home: Home } {
    const { session: { home }, application: { aid, name, origin }, manner: { tcp } } = this;
    const created = new Date().toISOString();
    const id = this.#ids[which];
    const label: Label = { id, name, aid, tags: [], created, ...(origin !== undefined && { origin }) };
    const out = this.#folder(which);
    const how = { target: [{ aid }], out, stop: which === "last", label };
    return { home, ...how, ...(tcp !== undefined && { tcp }) };
  }

  #folder(which: "first" | "last"): string {
    return `${storeOf(this.session.home)}/${this.#ids[which]}`;
  }

  async #failed(thrown: unknown): Promise<unknown> {
    if (this.#stage === "told") return this.#doubted(thrown);
    return await this.#backHere(thrown, await isRunning(this.session, this.application));
  }

  /** The other host says that it could not let it go on. */
  async #refused(outcome: Extract<Outcome, { failed: unknown }> | undefined): Promise<unknown> {
    const fault = faultIn(outcome?.failed);
    const thrown = new StasisError({ ...fault, message: `${this.peer.host}: ${fault.message}` });
    return outcome?.left === false ? await this.#backHere(thrown, false) : this.#doubted(thrown);
  }

  #doubted(thrown: unknown): StasisError {
    this.#precious = true;
    return inDoubt(thrown, { ...this, snapshot: this.#ids.last });
  }

  async #backHere(thrown: unknown, running: boolean): Promise<unknown> {
    const { session, application, peer, manner: { tcp } } = this;
    const where = { application, peer, snapshot: this.#ids.last };
    if (running) return ranOn(thrown, where);
    // It ended by itself.
    if (this.#stage === "here" || !isFolder(this.#folder("last"))) return thrown;
    const { error, restored } = await restoredHere(session, thrown, where, this.#folder("last"), tcp);
    this.#precious = !restored;
    return error;
  }

  async #settled(
    { alive }: Extract<Outcome, { alive: unknown }>,
    told: readonly string[],
  ): Promise<Moved> {
    const ids = this.manner.keep ? [this.#ids.first, this.#ids.last] : [];
    const moved = movedOf(this.#marks, this.#taken, alive, ids);
    return { ...moved, notes: [...moved.notes, ...told, ...await this.#forget()] };
  }

  /** What is left here of an application that has gone is its record. */
  async #forget(): Promise<string[]> {
    const { session, application: { aid, network } } = this;
    try {
      await session.perform("remove", { aid });
      await forgetNames(session, network);
      await tellOf(session, [network]);
      return [];
    } catch (thrown) {
      return [`its record is still here: ${textOf(thrown)}`];
    }
  }

  /** Removes the snapshots that nobody needs. */
  tidy(): void {
    if (this.manner.keep) return;
    for (const which of ["first", "last"] as const) {
      if (which === "last" && this.#precious) continue;
      const folder = this.#folder(which);
      if (isFolder(folder)) discardSnapshot(this.session.home, this.#ids[which], folder);
    }
  }
}

async function isRunning(session: Session, { aid }: Application): Promise<boolean> {
  const found = (await session.applications()).find((one) => one.aid === aid);
  return found?.state === "running";
}

function textOf(thrown: unknown): string {
  const { message, causes = [] } = faultOf(thrown);
  return [message, ...causes].join(": ");
}
