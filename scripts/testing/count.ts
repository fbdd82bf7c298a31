/** How many tests ran, from what Cargo prints and from the JUnit files of Deno. */

export interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

export const NOTHING: Count = { passed: 0, failed: 0, skipped: 0 };

export function add(one: Count, other: Count): Count {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

/** Sums the result lines, one for each test executable: `test result: ok. 31 passed; 0 failed; 1 ignored; ...`. */
export function countCargo(output: string): Count {
  const lines = output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm);
  const counts = [...lines].map(([, passed, failed]) => ({
    passed: Number(passed),
    failed: Number(failed),
    skipped: 0,
  }));
  return { ...counts.reduce(add, NOTHING), skipped: skippedByCargo(output).length };
}

/**
 * The ignored tests, with their reasons. One that says "started by" is no test but the inner half of another, which
 * runs it in a process of its own.
 */
export function skippedByCargo(output: string): string[] {
  const lines = output.matchAll(/^test (\S+) \.\.\. ignored(?:, (.*))?$/gm);
  return [...lines].filter(([, , reason = ""]) => !reason.includes("started by"))
    .map(([, name, reason]) => `${name} (${reason ?? "no reason given"})`);
}

/** Counts the test cases of a JUnit file. */
export function countJunit(xml: string): Count {
  const cases = xml.match(/<testcase\b[^>]*?(\/>|>[\s\S]*?<\/testcase>)/g) ?? [];
  const failed = cases.filter((text) => /<(failure|error)\b/.test(text)).length;
  const skipped = cases.filter((text) => /<skipped\b/.test(text)).length;
  return { passed: cases.length - failed - skipped, failed, skipped };
}

/** The names of skipped test cases; the reason is part of the name. */
export function skippedInJunit(xml: string): string[] {
  const cases = xml.matchAll(/<testcase name="([^"]*)"[^>]*>\s*<skipped/g);
  return [...cases].map(([, name]) => name ?? "");
}

/** The line that ends a run: `N passed, N failed`, and what was skipped if anything was. */
export function sentence(count: Count): string {
  const skipped = count.skipped > 0 ? `, ${count.skipped} skipped` : "";
  return `${count.passed} passed, ${count.failed} failed${skipped}`;
}
