/** What is told of a move that went well. */

import type { SnapshotTaken } from "../../ffi/messages.ts";
import type { Alive, Times } from "./order.ts";

/** When something was done, in milliseconds. */
export type Marks = Record<"frozen" | "captured" | "sent" | "built" | "ended" | "alive", number>;

export interface Moved {
  aid: string;
  pid: number;
  /** How long it stood still, in microseconds: until this host heard that it lives. */
  pause_us: number;
  /** What that time went by with, in milliseconds: here captured, sent, ended; there the others. */
  times: Times & Record<"captured" | "sent" | "ended", number>;
  /** Of page data and state, before and while it stood still. */
  bytes: { first: number; last: number };
  notes: string[];
  /** Ids of the snapshots, where they were kept. */
  snapshots: string[];
}

export function movedOf(
  { frozen, captured, sent, built, ended, alive }: Marks,
  taken: { first: SnapshotTaken; last: SnapshotTaken } | undefined,
  { aid, pid, notes, times }: Alive,
  snapshots: string[],
): Moved {
  return {
    aid,
    pid,
    pause_us: Math.round((alive - frozen) * 1000),
    times: { captured: captured - frozen, sent: sent - captured, ...times, ended: ended - built },
    bytes: { first: taken?.first.bytes ?? 0, last: taken?.last.bytes ?? 0 },
    notes: [...taken?.last.notes ?? [], ...notes],
    snapshots,
  };
}
