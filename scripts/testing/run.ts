/**
 * Every check and test, in the order in which they fail fastest. Everything runs whatever failed before, except the
 * end-to-end tests when there is no product to test. Logs lie in dist/test/.
 */

import { add, type Count, countCargo, NOTHING, sentence, skippedByCargo } from "./count.ts";
import { denoTests, runEndToEnd } from "./end_to_end.ts";
import { type Phase, RESULTS, ROOT, runPhase } from "./phase.ts";

const DENO = Deno.execPath();
const NATIVE = `${ROOT}native`;

const CHECKS: Phase[] = [
  { name: "shell scripts", command: ["shellcheck", "-x", ...shellScripts()] },
  { name: "format of Rust", command: ["cargo", "fmt", "--all", "--check"], cwd: NATIVE },
  { name: "format of TypeScript", command: [DENO, "fmt", "--check"] },
  { name: "lint of TypeScript", command: [DENO, "lint"] },
  { name: "types", command: [DENO, "check", "."] },
  { name: "unsafe code", command: [DENO, "run", "-A", "scripts/checkunsafe.ts"] },
  { name: "lint of Rust", command: cargo("clippy", "--all-targets", "--", "-D", "warnings"), cwd: NATIVE },
];

const PRODUCT: Phase = { name: "dist-stasis", command: [DENO, "run", "-A", "scripts/build.ts"] };

const UNITS: Phase[] = [
  {
    name: "tests of Rust",
    command: cargo("test", "--no-fail-fast"),
    cwd: NATIVE,
    count: countCargo,
    skipped: skippedByCargo,
  },
  denoTests("tests of TypeScript", ["--parallel", "src", "ffi", "scripts"]),
];

function cargo(verb: string, ...rest: string[]): string[] {
  return ["cargo", verb, "--locked", "--workspace", ...rest];
}

function shellScripts(): string[] {
  return [".ci/run", "scripts/deno", "scripts/needs.sh", "scripts/quickstart", "scripts/test"];
}

async function runAll(phases: Phase[]): Promise<Count> {
  let count = NOTHING;
  for (const phase of phases) {
    console.log(`${phase.name} ...`);
    count = add(count, await runPhase(phase));
  }
  return count;
}

// What an earlier run left must not be counted.
Deno.mkdirSync(RESULTS, { recursive: true });
Deno.removeSync(RESULTS, { recursive: true });
Deno.mkdirSync(RESULTS);
let total = await runAll(CHECKS);
const product = await runAll([PRODUCT]);
total = add(add(total, product), await runAll(UNITS));
if (product.failed === 0) total = add(total, await runEndToEnd());
console.log(sentence(total));
Deno.exit(total.failed === 0 ? 0 : 1);
