import type { Ending } from "../../ffi/messages.ts";
import { nameOfSignal } from "../signals.ts";

/** How an application ended, in words: `exit code 0`, `SIGKILL`. */
export function formatEnding(ending: Ending): string {
  if (ending.signal !== undefined) return nameOfSignal(ending.signal);
  return ending.code === undefined ? "unknown" : `exit code ${ending.code}`;
}
