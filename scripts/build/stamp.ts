/** Skips a step whose inputs are what they were. Cargo judges for itself; this is for the other steps. */

import { createHash } from "node:crypto";
import { STAMPS } from "./layout.ts";

export interface Step {
  name: string;
  /** Files and folders (whole trees) whose names, sizes and times decide. */
  inputs: string[];
  /** Anything else that decides: versions, flags. */
  settings?: string[];
  /** What must be there for the step to count as done. */
  output: string;
  work: () => Promise<void>;
}

/** Does the step unless it is unchanged; true when it was done. */
export async function unlessUnchanged(step: Step): Promise<boolean> {
  const path = `${STAMPS}/${step.name}`;
  const stamp = fingerprint([...step.inputs], step.settings ?? []);
  if (exists(step.output) && exists(path) && Deno.readTextFileSync(path) === stamp) return false;
  await step.work();
  Deno.mkdirSync(STAMPS, { recursive: true });
  Deno.writeTextFileSync(path, stamp);
  return true;
}

function fingerprint(inputs: string[], settings: string[]): string {
  const hash = createHash("sha256");
  for (const line of [...settings, ...inputs.flatMap(files)]) hash.update(`${line}\n`);
  return hash.digest("hex");
}

/** One line for every file below a path, in a fixed order. */
function files(path: string): string[] {
  const info = Deno.statSync(path);
  if (!info.isDirectory) return [`${path} ${info.size} ${info.mtime?.getTime()}`];
  const names = [...Deno.readDirSync(path)].map((entry) => entry.name).sort();
  return names.flatMap((name) => files(`${path}/${name}`));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
