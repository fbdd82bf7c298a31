import type { SnapshotTaken } from "../../ffi/messages.ts";
import type { Snapshot } from "../catalog/snapshots.ts";
import { count, formatAge, formatBytes, formatDuration } from "./format.ts";
import { renderTable } from "./table.ts";

const COLUMNS = [
  { title: "SNAPSHOT" },
  { title: "APPLICATION" },
  { title: "CREATED" },
  { title: "PROCESSES", right: true },
  { title: "SIZE", right: true },
  { title: "TAGS" },
];

/** The table of `stasis snapshots`. */
export function renderSnapshots(snapshots: readonly Snapshot[], width?: number): string[] {
  if (snapshots.every(({ chain }) => chain === undefined)) {
    return renderTable(COLUMNS, snapshots.map(row), width);
  }
  const columns = COLUMNS.toSpliced(2, 0, { title: "CHAIN" });
  return renderTable(columns, snapshots.map((one) => row(one).toSpliced(2, 0, one.chain ?? "")), width);
}

function row(one: Snapshot): string[] {
  if (one.damaged !== undefined) return [one.id, "", "", "", "", `damaged: ${one.damaged}`];
  return [
    one.id,
    one.name ?? "(process tree)",
    formatAge(one.created),
    String(one.processes),
    formatBytes(one.bytes),
    one.tags.join(", "),
  ];
}

/** What was taken, in one line: `3 processes, 12 threads, 256 MiB, paused for 26 ms, 310 ms in all`. */
export function describeTaken(taken: SnapshotTaken): string {
  return [
    count(taken.processes, "process"),
    count(taken.threads, "thread"),
    formatBytes(taken.bytes),
    `paused for ${formatDuration(taken.pause_us)}`,
    `${formatDuration(taken.total_us)} in all`,
  ].join(", ");
}
