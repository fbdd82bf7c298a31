import { StasisError } from "../../ffi/error.ts";
import type { Inspection } from "../../ffi/messages.ts";
import { mistakesFor } from "./plan.ts";
import { mistakesInTexts } from "./texts.ts";
import { mistaken, NO_RULES, parseRules, type Rules } from "./rules.ts";

/** The text of a rules file that the user names. */
export function readRules(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    throw StasisError.of(missing ? "no_target" : "other", `Could not read the rules in "${path}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** The rules in a text, whose changes of texts are tried as well where the image is known: what does not occur is told with its place. */
export function provenRules(text: string | undefined, file: string, inspection?: Inspection): Rules {
  const rules = soundRules(text, file, inspection);
  if (text === undefined || inspection === undefined) return rules;
  const mistakes = mistakesInTexts(rules);
  if (mistakes.length > 0) throw mistaken(file, mistakes, parseRules(text, file).place);
  return rules;
}

/** The rules in a text, checked by themselves and, where it is known, against the image; no text, no rules. */
export function soundRules(text: string | undefined, file: string, inspection?: Inspection): Rules {
  if (text === undefined) return NO_RULES;
  const { rules, place } = parseRules(text, file);
  const mistakes = inspection === undefined ? [] : mistakesFor(rules, inspection);
  if (mistakes.length > 0) throw mistaken(file, mistakes, place);
  return rules;
}
