/** From the sources and the built parts to the one file. */

import { run } from "./command.ts";
import { BUNDLE, LIBRARY, MAIN, PRODUCT, ROOT, STAGE, STAGED_LIBRARY, STAGED_MAIN } from "./layout.ts";
import { loadLazily } from "./lazy_modules.ts";
import { unlessUnchanged } from "./stamp.ts";

/** The executable behind which the program is put: ours with Deno in it, or Deno's own. */
export type Base = { kind: "launcher"; path: string } | { kind: "denort"; path: string | undefined };

/** One module of the command's sources and packages; smaller than the packages, and the same bytes each time. */
export async function bundle(): Promise<boolean> {
  return await unlessUnchanged({
    name: "bundle",
    inputs: ["src", "ffi", "deno.json", "deno.lock", "scripts/build"].map((name) => `${ROOT}${name}`),
    settings: [Deno.version.deno],
    output: BUNDLE,
    work: async () => {
      await run(Deno.execPath(), ["bundle", "--quiet", "--platform", "deno", "-o", BUNDLE, MAIN], {
        cwd: ROOT,
      });
      Deno.writeTextFileSync(BUNDLE, loadLazily(Deno.readTextFileSync(BUNDLE)));
    },
  });
}

export async function compile(base: Base): Promise<boolean> {
  return await unlessUnchanged({
    name: "product",
    inputs: [BUNDLE, LIBRARY, ...(base.path === undefined ? [] : [base.path])],
    settings: [Deno.version.deno, base.kind],
    output: PRODUCT,
    work: async () => {
      await stage();
      await appendProgram(base);
    },
  });
}

/** Debugging information stays in native/target: it is larger than the library. */
async function stage(): Promise<void> {
  Deno.mkdirSync(STAGE, { recursive: true });
  await run("strip", ["--strip-debug", "-o", STAGED_LIBRARY, LIBRARY]);
  Deno.copyFileSync(BUNDLE, STAGED_MAIN);
  // The product records the times of what it holds. Fixed ones make the same bytes of the same sources.
  for (const path of [STAGED_LIBRARY, STAGED_MAIN]) Deno.utimeSync(path, 0, 0);
}

/** Written beside the product and renamed, so that a running one is never written to. */
async function appendProgram(base: Base): Promise<void> {
  const unfinished = `${PRODUCT}.partial-${Deno.pid}`;
  const isolated = ["--no-check", "--no-config", "--no-lock", "--no-remote", "--no-npm"];
  const args = ["compile", "-A", ...isolated, "--app-name", "stasis", "--include", STAGED_LIBRARY];
  const env: Record<string, string> = base.path === undefined ? {} : { DENORT_BIN: base.path };
  try {
    await run(Deno.execPath(), [...args, "-o", unfinished, STAGED_MAIN], { cwd: STAGE, env });
    await Deno.rename(unfinished, PRODUCT);
  } catch (error) {
    await Deno.remove(unfinished).catch(() => {});
    throw error;
  }
}
