/**
 * The files of tests/, several at a time: most of the time of such a test is spent waiting. A file is one phase with a log
 * and a JUnit file of its own. Each has its own state folders, namespaces or ranges of ports; one that cannot be beside
 * others says so and why in a line of its own, and has the machine for itself:
 *
 *     // Runs alone: it looks at every process of the host.
 */

import { add, type Count, countJunit, NOTHING, skippedInJunit } from "./count.ts";
import { inLanes } from "./lanes.ts";
import { fileName, type Phase, RESULTS, ROOT, runPhase } from "./phase.ts";

const LANES = 3;
/** No file takes this long unless a test in it hangs. */
const LIMIT_MS = 20 * 60_000;
const ALONE = /^\/\/ Runs alone: (.+)$/m;

/** Runs all files whose names end in `_test.ts`, those that run alone last. */
export async function runEndToEnd(): Promise<Count> {
  const files = testsBelow("tests");
  const isAlone = (file: string) => ALONE.test(Deno.readTextFileSync(`${ROOT}${file}`));
  const beside = await runFiles(files.filter((file) => !isAlone(file)), LANES);
  return add(beside, await runFiles(files.filter(isAlone), 1));
}

async function runFiles(files: readonly string[], lanes: number): Promise<Count> {
  const counts = await inLanes(files, lanes, (file, lane) => {
    const phase = denoTests(file, [file]);
    return runPhase({ ...phase, env: { STASIS_TEST_LANE: String(lane) }, limit: LIMIT_MS });
  });
  return counts.reduce(add, NOTHING);
}

/** Paths below the repository's folder, in order. */
function testsBelow(folder: string): string[] {
  const entries = [...Deno.readDirSync(`${ROOT}${folder}`)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testsBelow(`${folder}/${name}`);
    return name.endsWith("_test.ts") ? [`${folder}/${name}`] : [];
  });
}

/** A phase of tests that Deno runs. */
export function denoTests(name: string, args: string[]): Phase {
  const report = `${RESULTS}/${fileName(name)}.xml`;
  return {
    name,
    command: [Deno.execPath(), "test", "-A", "--no-check", `--junit-path=${report}`, ...args],
    count: () => countJunit(textOf(report)),
    skipped: () => skippedInJunit(textOf(report)),
  };
}

/** Nothing when the tests died before they wrote it. */
function textOf(report: string): string {
  try {
    return Deno.readTextFileSync(report);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
