/** Packs the pinned Deno, unmodified, for the launcher. */

import { createHash } from "node:crypto";
import { constants, zstdCompressSync } from "node:zlib";
import { PACKED_RUNTIME } from "./layout.ts";
import { unlessUnchanged } from "./stamp.ts";

export interface Runtime {
  bytes: number;
  sha256: string;
}

/** 36 MB in 3 s. Level 19 with a long window makes 32 MB of it in more than a minute. */
const LEVEL = 9;

export async function packRuntime(): Promise<Runtime> {
  // The running Deno is the pinned one: scripts/deno checked it.
  const executable = Deno.execPath();
  const bytes = await Deno.readFile(executable);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  await unlessUnchanged({
    name: "runtime",
    inputs: [],
    settings: [sha256, String(LEVEL)],
    output: PACKED_RUNTIME,
    work: async () => {
      const packed = zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
      await Deno.writeFile(PACKED_RUNTIME, packed);
    },
  });
  return { bytes: bytes.length, sha256 };
}
