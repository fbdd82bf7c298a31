/** What a restore changes of an application (`native/crates/abi/src/edits.rs`). Texts are literal here. */
export interface Edits {
  mounts?: Mount[];
  environment?: { name: string; value: string; process?: string }[];
  arguments?: { find: string; replace: string; process?: string }[];
  output?: "log" | "null" | { path: string };
  /** `to` is 0 for any port that is free. */
  ports?: { from: number; to: number }[];
  leave_out?: { paths: string[]; kinds: string[] };
  /** The first that fits a connection decides. `end` is ADDRESS:PORT, with `*` for any. */
  connections?: { end: string; keep: boolean }[];
  /** Run in the capsule before anything of the application runs. */
  before?: { commands: string[][]; environment: Record<string, string> };
}

/** A file or folder that stands at a path for one application alone. */
export interface Mount {
  target: string;
  source: { path: string } | { text: string } | "copy" | "empty";
}
