import type { Check } from "../../ffi/messages.ts";
import type { Colors } from "./colors.ts";
import { renderTable } from "./table.ts";

const COLUMNS = [{ title: "" }, { title: "CHECK" }, { title: "FOUND" }, { title: "NEEDED" }];

/** What `stasis doctor` shows: every check, and below what the missing ones cost and how to mend them. */
export function renderChecks(checks: readonly Check[], colors: Colors, width?: number): string[] {
  const rows = checks.map((check) => [stateOf(check), check.name, check.found, check.needed]);
  const [heading, ...lines] = renderTable(COLUMNS, rows, width);
  return [
    heading ?? "",
    ...lines.map((line, index) => paint(line, checks[index], colors)),
    ...checks.filter((check) => !check.ok).flatMap((check) => consequences(check)),
  ];
}

function stateOf(check: Check): string {
  if (check.ok) return "ok";
  return check.required ? "MISSING" : "absent";
}

function paint(line: string, check: Check | undefined, { green, red, yellow }: Colors): string {
  const state = check === undefined ? "" : stateOf(check);
  const colour = { ok: green, MISSING: red, absent: yellow }[state];
  return colour === undefined ? line : colour(state) + line.slice(state.length);
}

function consequences(check: Check): string[] {
  const fix = check.fix === undefined ? [] : [`  to mend it: ${check.fix}`];
  return ["", `Without ${check.name}: ${check.consequence}`, ...fix];
}
