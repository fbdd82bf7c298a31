/** Leading an operation of the engine through its gates. */

import type { Job } from "../../ffi/client.ts";

/** Has the operation pass each gate in turn, once `at` has come to its end. What `at` throws ends the operation. */
export async function leadThrough<T>(
  job: Job<T>,
  gates: readonly number[],
  at: (gate: number) => Promise<void>,
): Promise<void> {
  const ended = job.done.then(() => {}, () => {});
  for (const gate of gates) {
    // Why it has ended, its answer tells.
    if (!await job.reached(gate)) return;
    const step = at(gate);
    step.catch(() => {});
    await Promise.race([step, ended]);
    job.open(gate);
  }
}
