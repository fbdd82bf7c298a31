/** Where the build reads and writes. Everything it makes lies in dist/, native/target/ or .tools/. */

import { fileURLToPath } from "node:url";

const path = (below: string): string => fileURLToPath(new URL(`../../${below}`, import.meta.url));

export const ROOT = path("");
export const NATIVE = path("native");
/** The product. */
export const PRODUCT = path("dist/stasis");
/** What goes into the product, and nothing else: the main module finds the library beside itself. */
export const STAGE = path("dist/stage");
export const MAIN = path("src/main.ts");
export const BUNDLE = path("dist/bundle.mjs");
export const STAGED_MAIN = `${STAGE}/main.mjs`;
export const STAGED_LIBRARY = `${STAGE}/libstasis_native.so`;
/** What unchanged steps are known by. */
export const STAMPS = path("dist/stamps");
/** Kept over a clean build: it depends on the pinned Deno only. */
export const PACKED_RUNTIME = path(".tools/runtime.zst");

/** glibc, linked statically into the helpers, so that one installed Rust target is enough. */
export const TARGET = "x86_64-unknown-linux-gnu";
export const INIT = `${NATIVE}/target/${TARGET}/helper/init`;
/** What translates System V ids in an application's processes: a flat image, and the library that is preloaded. */
export const CORE = `${NATIVE}/target/${TARGET}/helper/stasis-core`;
export const PRELOAD = `${NATIVE}/target/${TARGET}/helper/libstasis_ids.so`;
export const LAUNCHER = `${NATIVE}/target/${TARGET}/launcher/launcher`;
export const LIBRARY = `${NATIVE}/target/release/libstasis_native.so`;
