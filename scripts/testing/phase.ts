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
  env?: Record<string, string>;
  /** What the output or the files say. Without it the phase is a check: it counts only when it fails. */
  count?: (output: string) => Count;
  /** The tests that were skipped, each with its reason. */
  skipped?: (output: string) => string[];
}

/** No part takes this long unless it hangs. It is ended then, and fails. */
const LIMIT_MS = 40 * 60_000;

/** Runs the phase and says how it went. A failure that no test accounts for counts as one. */
export async function runPhase(phase: Phase): Promise<Count> {
  const start = performance.now();
  console.log(`${phase.name} ...`);
  const { success, output } = await capture(phase);
  Deno.writeTextFileSync(`${RESULTS}/${phase.name.replaceAll(/\W+/g, "-")}.log`, output);
  const counted = phase.count?.(output) ?? NOTHING;
  const count = !success && counted.failed === 0 ? { ...counted, failed: 1 } : counted;
  if (!success) console.log(output);
  for (const name of phase.skipped?.(output) ?? []) console.log(`  skipped: ${name}`);
  console.log(
    `${phase.name}: ${describe(phase, count)}, ${((performance.now() - start) / 1000).toFixed(1)} s`,
  );
  return count;
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
      signal: AbortSignal.timeout(LIMIT_MS),
    }).output();
    const decoder = new TextDecoder();
    return { success: result.success, output: decoder.decode(result.stdout) + decoder.decode(result.stderr) };
  } catch (error) {
    return { success: false, output: String(error) };
  }
}
