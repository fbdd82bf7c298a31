import stringWidth from "fast-string-width";
import { printable } from "./format.ts";

/** A column's heading; numbers and sizes stand to the right. */
export interface Column {
  title: string;
  right?: boolean;
}

const GAP = "  ";

/**
 * Lays rows out in columns. `width` is that of the terminal, where the last column is cut rather than wrapped;
 * without it nothing is cut, so that a program that reads the table gets everything.
 */
export function renderTable(columns: readonly Column[], rows: readonly string[][], width?: number): string[] {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => row.map(printable))];
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => stringWidth(row[index] ?? ""))));
  return cells.map((row) => cut(renderRow(row, columns, widths), width));
}

function renderRow(row: readonly string[], columns: readonly Column[], widths: readonly number[]): string {
  const line = columns.map((column, index) =>
    pad(row[index] ?? "", widths[index] ?? 0, column.right === true)
  );
  return line.join(GAP).trimEnd();
}

function pad(text: string, width: number, right: boolean): string {
  const space = " ".repeat(Math.max(0, width - stringWidth(text)));
  return right ? space + text : text + space;
}

function cut(line: string, width: number | undefined): string {
  if (width === undefined || stringWidth(line) <= width) return line;
  let kept = "";
  for (const char of line) {
    if (stringWidth(kept + char) >= width) break;
    kept += char;
  }
  return `${kept}…`;
}
