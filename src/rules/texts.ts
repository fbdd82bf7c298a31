import { StasisError } from "../../ffi/error.ts";
import type { Edits, Mount } from "../../ffi/edits.ts";
import { isWithin } from "./inside.ts";
import type { Mistake, Rules } from "./rules.ts";
import type { Customising, TextPlan } from "./customising.ts";

/** Longest file whose text is changed, in bytes. */
export const LONGEST_TEXT = 1 << 20;

/** A change that was made, and how often its text was there. */
export interface TextChange {
  file: string;
  sought: string;
  replace: string;
  count: number;
}

export interface ChangedTexts {
  mounts: Mount[];
  changes: TextChange[];
}

/** Makes the texts of one clone. Rules for one file work one after the other. A text that is not there is an error. */
export function changeTexts(texts: readonly TextPlan[]): ChangedTexts {
  const current = new Map<string, string>();
  const changes = texts.map((rule) => {
    const before = current.get(rule.file) ?? readText(rule);
    const { text, count } = change(before, rule);
    if (count === 0) throw notThere(rule);
    current.set(rule.file, text);
    return { file: rule.file, sought: soughtBy(rule), replace: rule.replace, count };
  });
  const mounts = [...current].map(([target, text]) => ({ target, source: { text } }));
  return { mounts, changes };
}

/** How often each text would be found now; -1 where the file cannot be read yet. */
export function tryTexts(texts: readonly TextPlan[]): TextChange[] {
  return texts.map((rule, index) => {
    const told = { file: rule.file, sought: soughtBy(rule), replace: rule.replace };
    try {
      const before = texts.slice(0, index).filter(({ file }) => file === rule.file);
      const text = before.reduce((text, one) => change(text, one).text, readText(rule));
      return { ...told, count: change(text, rule).count };
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
      return { ...told, count: -1 };
    }
  });
}

/** All that the engine is asked to change in a clone, with its texts as their files are now. */
export function editsOf({ edits, texts }: Customising): Edits {
  const { mounts } = changeTexts(texts);
  if (mounts.length === 0) return { ...edits };
  return { ...edits, mounts: [...(edits.mounts ?? []), ...mounts] };
}

/**
 * What is wrong with rules for texts: files that are not there, though no hook may make them, and texts that are in no file. What
 * depends on the clone is not known yet.
 */
export function mistakesInTexts({ texts, before, paths }: Rules): Mistake[] {
  const current = new Map<string, string>();
  return texts.flatMap((rule, index) => {
    const late = before.length > 0 || rule.file.includes("{") ||
      Object.keys(paths).some((old) => isWithin(rule.file, old));
    const path = ["text", index];
    try {
      const { text, count } = change(
        current.get(rule.file) ?? readText({ ...rule, source: rule.file }),
        rule,
      );
      current.set(rule.file, text);
      const problem = `${soughtBy(rule)} does not occur in "${rule.file}"`;
      const key = rule.find === undefined ? "pattern" : "find";
      return count > 0 || late ? [] : [{ path: [...path, key], problem }];
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
      const { message, causes = [] } = error.fault;
      return late ? [] : [{ path: [...path, "file"], problem: [message, ...causes].join(": ") }];
    }
  });
}

/** A rule's text in a text: what it becomes, and how often it was there. */
export function change(
  text: string,
  { find, pattern, replace }: Pick<TextPlan, "find" | "pattern" | "replace">,
): { text: string; count: number } {
  if (find !== undefined) {
    const pieces = text.split(find);
    return { text: pieces.join(replace), count: pieces.length - 1 };
  }
  const sought = new RegExp(pattern ?? "", "gm");
  return { text: text.replace(sought, replace), count: [...text.matchAll(sought)].length };
}

export function soughtBy({ find, pattern }: Pick<TextPlan, "find" | "pattern">): string {
  return find === undefined ? `the pattern "${pattern}"` : `"${find}"`;
}

function readText({ file, source }: TextPlan): string {
  const fail = (cause: string) => StasisError.of("other", whatOf(file), { causes: [cause] });
  let bytes: Uint8Array;
  try {
    const { size, isFile } = Deno.statSync(source);
    if (!isFile) throw fail(`"${source}" is no ordinary file`);
    if (size > LONGEST_TEXT) throw fail(`it has ${size} bytes, and ${LONGEST_TEXT} are the most`);
    bytes = Deno.readFileSync(source);
  } catch (error) {
    if (error instanceof StasisError) throw error;
    throw fail(error instanceof Error ? error.message : String(error));
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw fail("it is no text in UTF-8");
  }
}

function notThere(rule: TextPlan): StasisError {
  return StasisError.of("other", whatOf(rule.file), {
    causes: [`${soughtBy(rule)} does not occur in "${rule.source}"`],
    hint: "Change the rule under [[text]], or the file",
  });
}

function whatOf(file: string): string {
  return `Could not change the text of "${file}"`;
}
