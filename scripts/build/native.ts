/** The Rust parts: the helper, the library that carries it, and the launcher. */

import { run } from "./command.ts";
import { INIT, NATIVE, PACKED_RUNTIME, TARGET } from "./layout.ts";
import type { Runtime } from "./runtime.ts";

/** The helper first: the library includes its bytes. */
export async function buildLibrary(): Promise<void> {
  await cargo(["--profile", "helper", "--package", "init", "--target", TARGET], STATIC);
  await cargo(["--release", "--package", "boundary"], { STASIS_INIT: INIT });
}

/** The base executable that carries Deno. */
export async function buildLauncher(runtime: Runtime): Promise<void> {
  await cargo(["--profile", "launcher", "--package", "launcher", "--target", TARGET], {
    ...STATIC,
    STASIS_RUNTIME: PACKED_RUNTIME,
    STASIS_RUNTIME_BYTES: String(runtime.bytes),
    STASIS_RUNTIME_SHA256: runtime.sha256,
  });
}

/** Flags for a static executable. They reach only what is built for `--target`, not build scripts. */
const STATIC = { RUSTFLAGS: "-C target-feature=+crt-static" };

async function cargo(args: string[], env: Record<string, string>): Promise<void> {
  await run("cargo", ["build", "--quiet", "--locked", ...args], { cwd: NATIVE, env });
}
