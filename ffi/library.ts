import { StasisError } from "./error.ts";
import { type Native, SYMBOLS } from "./symbols.ts";

const FILE_NAME = "libstasis_native.so";

/**
 * Loads the engine. A launcher names the file that it unpacked. Otherwise the library lies beside the program in the
 * embedded file system, which the dynamic linker cannot see, so it is copied into a memory file first. In a checkout
 * cargo's newest build is loaded from where it lies.
 */
export function loadLibrary(): Native {
  try {
    const unpacked = Deno.env.get("STASIS_LIBRARY");
    if (unpacked !== undefined) return Deno.dlopen(unpacked, SYMBOLS).symbols;
    const embedded = readIfThere(new URL(FILE_NAME, import.meta.url));
    if (embedded !== undefined) return loadFromMemory(embedded);
    return Deno.dlopen(newestBuild(), SYMBOLS).symbols;
  } catch (error) {
    if (error instanceof StasisError) throw error;
    throw StasisError.of("internal", "Could not load the engine", { causes: [String(error)] });
  }
}

function loadFromMemory(bytes: Uint8Array): Native {
  const libc = Deno.dlopen("libc.so.6", {
    memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  try {
    // MFD_CLOEXEC: no program that an application starts may inherit it.
    const descriptor = libc.symbols.memfd_create(new TextEncoder().encode("stasis_native\0"), 1);
    if (descriptor < 0) throw new Error("memfd_create failed");
    try {
      const path = `/proc/self/fd/${descriptor}`;
      Deno.writeFileSync(path, bytes);
      return Deno.dlopen(path, SYMBOLS).symbols;
    } finally {
      libc.symbols.close(descriptor);
    }
  } finally {
    libc.close();
  }
}

function newestBuild(): string {
  const builds = ["debug", "release"]
    .map((profile) => new URL(`../native/target/${profile}/${FILE_NAME}`, import.meta.url).pathname)
    .map((path) => ({ path, built: builtAt(path) }))
    .filter((build) => build.built > 0)
    .sort((one, other) => other.built - one.built);
  const [newest] = builds;
  if (newest === undefined) {
    throw StasisError.of("internal", "Could not find the engine's library", {
      causes: [`no ${FILE_NAME} under native/target`],
      hint: 'Build it with "cargo build --package boundary" in native/',
    });
  }
  return newest.path;
}

/** Milliseconds since the epoch; 0 when there is no such file. */
function builtAt(path: string): number {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? 0;
  } catch {
    return 0;
  }
}

function readIfThere(url: URL): Uint8Array | undefined {
  try {
    return Deno.readFileSync(url);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
