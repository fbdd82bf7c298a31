import type { Job, Progress } from "../../ffi/client.ts";
import { formatBytes } from "./format.ts";
import type { Output } from "./output.ts";

/** Nothing is drawn for work that takes less than this. */
const PATIENCE_MS = 500;
const INTERVAL_MS = 100;
const BAR_CELLS = 24;
const CLEAR_LINE = "\r\x1b[2K";

/** The words for `Phase` in native/crates/abi/src/control.rs. */
const PHASES: Readonly<Record<number, string>> = {
  1: "stopping threads",
  2: "collecting state",
  3: "writing memory",
  4: "finishing the image",
  5: "checking the image",
  6: "building processes",
  7: "loading memory",
  8: "waiting for processes to end",
  9: "making clones",
  10: "waiting for each other",
};

/** Draws an operation's progress on a terminal until it has ended, and leaves the line as it was. */
export async function withProgress<T>(job: Job<T>, output: Output): Promise<T> {
  if (!output.animated) return await job.done;
  const begun = performance.now();
  let drawn = false;
  const timer = setInterval(() => {
    if (performance.now() - begun < PATIENCE_MS) return;
    output.stderr.write(CLEAR_LINE + renderProgress(job.progress(), performance.now() - begun));
    drawn = true;
  }, INTERVAL_MS);
  try {
    return await job.done;
  } finally {
    clearInterval(timer);
    if (drawn) output.stderr.write(CLEAR_LINE);
  }
}

/** One line: what is going on, a bar and amounts where the total is known, and the time since the start. */
export function renderProgress(progress: Progress, elapsedMs: number): string {
  const parts = [PHASES[progress.phase] ?? "working"];
  if (progress.unit !== "none" && progress.total > 0) parts.push(bar(progress), amounts(progress));
  parts.push(`${(elapsedMs / 1000).toFixed(1)} s`);
  return parts.join("  ");
}

function bar({ done, total }: Progress): string {
  const cells = Math.min(BAR_CELLS, Math.floor(done / total * BAR_CELLS));
  return `[${"#".repeat(cells)}${"-".repeat(BAR_CELLS - cells)}]`;
}

function amounts({ done, total, unit }: Progress): string {
  if (unit === "bytes") return `${formatBytes(done)} of ${formatBytes(total)}`;
  return `${done} of ${total} ${unit}`;
}
