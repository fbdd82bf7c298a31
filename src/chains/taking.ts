/** Taking a chain: snapshots of several applications at one moment, all or none. */

import {
  type Application,
  type Label,
  SNAPSHOT_GATES,
  type SnapshotTaken,
  type Tcp,
} from "../../ffi/messages.ts";
import { storeOf } from "../catalog/home.ts";
import { newId } from "../catalog/names.ts";
import type { Session } from "../session.ts";
import { leadThrough } from "./leading.ts";
import type { ChainMember } from "./records.ts";
import type { Staging } from "./staging.ts";

/** How applications are captured. */
export interface Manner {
  stop: boolean;
  /** How long they may wait for each other, in ms. */
  patience: number;
  tags: readonly string[];
  tcp?: Tcp;
}

/** One application of a chain, as it was taken. */
export interface Part {
  label: Label;
  taken: SnapshotTaken;
}

const GATES = Object.values(SNAPSHOT_GATES);

/** The applications of this host that are to be captured. */
export class Share {
  readonly #labels: readonly Label[];

  constructor(
    readonly session: Session,
    readonly staging: Staging,
    applications: readonly Application[],
    readonly created: string,
    readonly manner: Manner,
  ) {
    this.#labels = applications.map(({ name, aid, origin }) => ({
      id: newId(),
      name,
      aid,
      ...(origin !== undefined && { origin }),
      tags: [...manner.tags],
      created,
      chain: staging.id,
    }));
  }

  get members(): ChainMember[] {
    return this.#labels.map(({ id, name = "", aid = "" }) => ({ name, aid, snapshot: id }));
  }

  /** Takes them. `at` is waited for at each gate; at the last one they are complete, and what it commits stays. */
  async take(at: (gate: number) => Promise<void>): Promise<Part[]> {
    const { session, staging, manner: { stop, patience, tcp } } = this;
    const { home } = session;
    const snapshots = this.#labels.map((label) => ({
      home,
      target: [{ aid: label.aid ?? "" }],
      out: staging.placeFor(label.id),
      place: `${storeOf(home)}/${label.id}`,
      stop,
      label,
      ...(tcp !== undefined && { tcp }),
    }));
    const request = { snapshots, patience_ms: patience };
    const { taken } = await session.perform(
      "snapshot_together",
      request,
      (job) => leadThrough(job, GATES, at),
    );
    return taken.flatMap((one, index) => {
      const label = this.#labels[index];
      return label === undefined ? [] : [{ label, taken: { ...one, dir: `${storeOf(home)}/${label.id}` } }];
    });
  }
}
