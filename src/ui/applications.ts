import type { Application, Resident } from "../../ffi/messages.ts";
import { formatEnding } from "./ending.ts";
import { formatAge, formatBytes, formatCommand } from "./format.ts";
import { renderTable } from "./table.ts";

const COLUMNS = [
  { title: "NAME" },
  { title: "AID" },
  { title: "STATE" },
  { title: "PID", right: true },
  { title: "PROCESSES", right: true },
  { title: "MEMORY", right: true },
  { title: "STARTED" },
  { title: "COMMAND" },
];

/** The table of `stasis ps`. */
export function renderApplications(
  applications: readonly Application[],
  templates: readonly Resident[],
  width?: number,
): string[] {
  return renderTable(COLUMNS, [...applications.map(row), ...templates.map(residentRow)], width);
}

/** A template in memory is no application, and takes memory like one. */
function residentRow({ name, pid, bytes, loaded }: Resident): string[] {
  return [
    name,
    "",
    "template",
    String(pid),
    "1",
    formatBytes(bytes),
    formatAge(loaded),
    "(in memory for clones)",
  ];
}

function row(one: Application): string[] {
  return [
    one.name,
    one.aid,
    one.state === "exited" ? `exited (${formatEnding(one)})` : one.state,
    one.pid === undefined ? "" : String(one.pid),
    one.processes === undefined ? "" : String(one.processes),
    one.rss_bytes === undefined ? "" : formatBytes(one.rss_bytes),
    formatAge(one.started),
    formatCommand(one.command),
  ];
}
