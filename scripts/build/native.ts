/** The Rust parts: the helper, the library that carries it, and the launcher. */

import { run } from "./command.ts";
import { CORE, INIT, NATIVE, PACKED_RUNTIME, PRELOAD, TARGET } from "./layout.ts";
import type { Runtime } from "./runtime.ts";

/** Inside out: the library includes the helper's bytes, and the helper what it gives to applications. */
export async function buildLibrary(): Promise<void> {
  await buildInterposition();
  await cargo(["--profile", "helper", "--package", "init", "--target", TARGET], {
    ...STATIC,
    STASIS_CORE: CORE,
    STASIS_PRELOAD: PRELOAD,
  });
  await cargo(["--release", "--package", "boundary"], { STASIS_INIT: INIT });
}

/** What is mapped into the processes of an application that has virtual System V ids. */
export async function buildInterposition(): Promise<void> {
  const helper = ["--profile", "helper", "--target", TARGET];
  await cargo([...helper, "--package", "interpose", "--features", "image", "--bin", "stasis-core"], {});
  await cargo([...helper, "--package", "preload", "--features", "alone"], {});
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
