/** One part of a test run: a program whose output goes to a log, and what it counts. */

import { fileURLToPath } from "node:url";
import { type Count, NOTHING } from "./count.ts";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Logs and JUnit files of the last run. */
export const RESULTS = `${ROOT}dist/test`;

export interface Phase {
  name: string;
  command: string[];
  cwd?: string;
  /** It is ended, and fails, when it takes longer. No part takes `LIMIT_MS` unless it hangs. */
  limit?: number;
  env?: Record<string, string>;
  /** What the output or the files say. Without it the phase is a check: it counts only when it fails. */
  count?: (output: string) => Count;
  /** The tests that were skipped, each with its reason. */
  skipped?: (output: string) => string[];
}

const LIMIT_MS = 40 * 60_000;

/** Runs the phase and says how it went. A failure that no test accounts for counts as one. */
export async function runPhase(phase: Phase): Promise<Count> {
  const start = performance.now();
  const { success, output } = await capture(phase);
  Deno.writeTextFileSync(`${RESULTS}/${fileName(phase.name)}.log`, output);
  const counted = phase.count?.(output) ?? NOTHING;
  const count = !success && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
  if (!success) console.log(output);
  for (const name of phase.skipped?.(output) ?? []) console.log(`  skipped: ${name}`);
  console.log(
    `${phase.name}: ${describe(phase, count)}, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  return count;
}

/** What a phase is called in names of files. */
export function fileName(phase: string): string {
  return phase.replaceAll(/\W+/g, "-");
}

function describe(phase: Phase, count: Count): string {
  if (phase.count === undefined) return count.failed === 0 ? "ok" : "failed";
  return `${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`;
}

async function capture(phase: Phase): Promise<{ success: boolean; output: string }> {
  const [program = "", ...args] = phase.command;
  try {
    const result = await new Deno.Command(program, {
      args,
      cwd: phase.cwd ?? ROOT,
      env: { NO_COLOR: "1", CARGO_TERM_COLOR: "never", ...phase.env },
      stdin: "null",
      signal: AbortSignal.timeout(phase.limit ?? LIMIT_MS),
    }).output();
    const decoder = new TextDecoder();
    return { success: result.success, output: decoder.decode(result.stdout) + decoder.decode(result.stderr) };
  } catch (error) {
    return { success: false, output: String(error) };
  }
}
