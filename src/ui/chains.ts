import { StasisError } from "../../ffi/error.ts";
import type { Snapshot } from "../catalog/snapshots.ts";
import type { ChainRecord } from "../chains/records.ts";
import type { TakenChain } from "../chains/coordinating.ts";
import type { Returned } from "../chains/returning.ts";
import type { Part } from "../chains/taking.ts";
import { showFault } from "./errors.ts";
import type { Output } from "./output.ts";
import { count, formatAge, formatBytes, formatDuration } from "./format.ts";
import { renderTable } from "./table.ts";

const MEMBERS = [
  { title: "SNAPSHOT" },
  { title: "APPLICATION" },
  { title: "HOST" },
  { title: "PROCESSES", right: true },
  { title: "SIZE", right: true },
];

/** What `stasis inspect` shows of a chain. */
export function renderChain(
  record: ChainRecord,
  snapshots: readonly Snapshot[],
  width?: number,
): string[] {
  const { id, created, tags, environment, of, pending, members } = record;
  const facts: [string, string | undefined][] = [
    ["chain", id],
    ["environment", environment && `${environment.name} (${environment.subnets.join(" and ")})`],
    ["tags", tags.length > 0 ? tags.join(", ") : undefined],
    ["created", formatAge(created)],
    ["taken by", of],
    ["state", pending && `${of ?? "the host that took it"} has not said yet that it stands`],
  ];
  const told = facts.flatMap(([key, value]) => value === undefined ? [] : [`${key.padEnd(11)}  ${value}`]);
  const rows = members.map(({ snapshot, name, host }) => {
    if (host !== undefined) return [snapshot, name, host, "", ""];
    const found = snapshots.find((one) => one.id === snapshot);
    if (found === undefined) return [snapshot, name, "", "", "missing"];
    return [snapshot, name, "", String(found.processes), formatBytes(found.bytes)];
  });
  return [...told, "", ...renderTable(MEMBERS, rows, width)];
}

/** What was taken, in one line. */
export function describeChain(parts: readonly Part[], elsewhere = 0): string {
  const longest = Math.max(...parts.map(({ taken }) => taken.pause_us));
  const bytes = parts.reduce((sum, { taken }) => sum + taken.bytes, 0);
  return [
    count(parts.length + elsewhere, "application"),
    formatBytes(bytes),
    ...(parts.length > 0 ? [`paused for ${formatDuration(longest)} at most`] : []),
  ].join(", ");
}

/** Tells of a chain that has been taken, in data and talk. */
export function reportChain(
  { output }: { output: Output },
  { record, parts }: TakenChain,
  stopped: boolean,
): void {
  if (output.json) {
    const members = parts.map(({ label, taken }) => ({ ...label, ...taken }));
    output.object({ ...record, taken: members });
  } else output.line(record.id);
  const names = record.members.map(({ name }) => `"${name}"`).join(", ");
  const elsewhere = record.members.length - parts.length;
  output.talk(
    `Took ${names}: ${describeChain(parts, elsewhere)}${stopped ? "; no process of them is left" : ""}`,
  );
  for (const { label, taken } of parts) {
    for (const note of taken.notes) output.talk(`  note: "${label.name ?? ""}": ${note}`);
  }
}

/** Tells of the applications of a chain that run again. */
export function reportAll(
  { output }: { output: Output },
  { id }: ChainRecord,
  restored: readonly Returned[],
): void {
  if (output.json) output.object({ chain: id, restored });
  else output.lines(restored.map(({ aid, pid }) => aid ?? String(pid)));
  const names = restored.map(({ name = "", host }) => `"${name}"${host === undefined ? "" : ` on ${host}`}`)
    .join(", ");
  const longest = Math.max(...restored.map(({ total_us }) => total_us));
  output.talk(`Running again: ${names}, restored in ${formatDuration(longest)}`);
  for (const { name = "", notes = [] } of restored) {
    for (const note of notes) output.talk(`  note: "${name}": ${note}`);
  }
}

/** Tells of hosts that could not be told that a chain stands. */
export function reportUntold(
  session: { output: Output; exitCode: number },
  { record: { id }, untold }: TakenChain,
  stopped: boolean,
): void {
  for (const { host, fault } of untold) {
    const runOn = stopped ? ", and its applications may run on" : "";
    const what = StasisError.of("other", `Could not tell ${host} that the chain ${id} stands`, {
      causes: [fault.message, ...fault.causes ?? []],
      aftermath: `The chain is complete. ${host} keeps its part until it hears of it${runOn}`,
      hint: stopped
        ? `Look on ${host} whether they run (stasis ps), and stop them there`
        : `It hears of it when the next chain of the environment is taken`,
    });
    showFault(what.fault, session.output);
    session.exitCode = what.fault.exit;
  }
}
