import { StasisError } from "../ffi/error.ts";

/** Reads `K=V` words, the last one of a key wins; `what` names the option in an error. */
export function parseAssignments(words: readonly string[], what: string): Record<string, string> {
  return Object.fromEntries(words.map((word) => {
    const at = word.indexOf("=");
    if (at < 1) {
      throw StasisError.of("usage", `Could not understand ${what} "${word}"`, {
        hint: `Write it as ${what} LEFT=RIGHT`,
      });
    }
    return [word.slice(0, at), word.slice(at + 1)];
  }));
}
