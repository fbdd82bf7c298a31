/** Medians with their spread, and tables of them. */

export interface Measured {
  median: number;
  lowest: number;
  highest: number;
}

export function summarise(values: readonly number[]): Measured {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, index))] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    lowest: at(0),
    highest: at(sorted.length - 1),
  };
}

/** `12.3 (11.0-19.8)`: the median, then the lowest and highest. */
export function show({ median, lowest, highest }: Measured): string {
  return `${median.toFixed(1)} (${lowest.toFixed(1)}-${highest.toFixed(1)})`;
}

/** `1.02 (1.00-1.07)`: the median of ratios, then the lowest and highest. */
export function showRatio({ median, lowest, highest }: Measured): string {
  return `${median.toFixed(2)} (${lowest.toFixed(2)}-${highest.toFixed(2)})`;
}

/** Rows under a heading, columns as wide as they need. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length))
  );
  const line = (row: readonly string[]) =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
