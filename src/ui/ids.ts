import type { IdRow } from "../../ffi/messages.ts";
import { renderTable } from "./table.ts";

const COLUMNS = [
  { title: "TYPE" },
  { title: "VIRTUAL", right: true },
  { title: "SYSTEM", right: true },
  { title: "KEY" },
  { title: "OWNER" },
  { title: "STATE" },
  { title: "BACKEND" },
];

/** The table of `stasis ids`. */
export function renderIds(rows: readonly IdRow[], width?: number): string[] {
  return renderTable(COLUMNS, rows.map(cells), width);
}

function cells(row: IdRow): string[] {
  const { type, virtual, system, key, owner, state, backend } = row;
  return [type, String(virtual), String(system ?? ""), key ?? "", owner ?? "", state, backend];
}
