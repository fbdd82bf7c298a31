/** The exported symbols of native/crates/boundary/src/exports.rs; the words about each are there. */
export const SYMBOLS = {
  stasis_submit: { parameters: ["buffer", "usize"], result: "u64" },
  // It may take long: it waits on a pool thread, so that the event loop goes on.
  stasis_wait: { parameters: ["u64", "u32"], result: "i32", nonblocking: true },
  stasis_take: { parameters: ["u64", "buffer", "usize"], result: "i64" },
  stasis_progress: { parameters: ["u64", "buffer"], result: "i32" },
  stasis_cancel: { parameters: ["u64"], result: "i32" },
  // Waits as well.
  stasis_await_gate: { parameters: ["u64", "u32", "u32"], result: "i32", nonblocking: true },
  stasis_open_gate: { parameters: ["u64", "u32"], result: "i32" },
  stasis_version: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

export type Native = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
