import type { Application } from "../../ffi/messages.ts";
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
export function renderApplications(applications: readonly Application[], width?: number): string[] {
  return renderTable(COLUMNS, applications.map(row), width);
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
