import { StasisError } from "../../ffi/error.ts";

/** The texts of rules: `{n}` and other variables stand for what differs between clones; `{{` and `}}` are braces. */

const PIECE = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What every rule may use without declaring it. */
export const BUILT_IN: ReadonlySet<string> = new Set(["n", "name", "uuid", "template", "address"]);

export function isVariable(name: string): boolean {
  return VARIABLE.test(name);
}

/** The variables that a text uses, in their order. What is neither a name nor a sum counts as a name that nobody has. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(PIECE)].flatMap(([, inner]) => {
    if (inner === undefined) return [];
    const terms = termsOf(inner);
    return terms.length === 1 ? terms : terms.filter((term) => !/^\d+$/.test(term));
  });
}

/** What is added and taken away within braces. */
function termsOf(inner: string): string[] {
  return inner.split(/[+-]/).map((term) => term.trim());
}

/** Whether a text has a brace that is neither doubled nor one of a pair. */
export function hasLooseBrace(text: string): boolean {
  return [...text.matchAll(PIECE)].some(([piece]) => piece === "{" || piece === "}");
}

/** Puts values in the place of variables, and of sums such as `{n + 8000}`. Every variable must have one. */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(PIECE, (piece: string, inner: string | undefined) => {
    if (inner === undefined) return piece[0] ?? "";
    if (termsOf(inner).length === 1) return values.get(inner) ?? piece;
    const sum = inner.replaceAll(/[A-Za-z_]\w*/g, (name) => values.get(name) ?? name);
    if (isSum(sum)) return String(sumOf(sum));
    throw StasisError.of("usage", `Could not add up "${piece}"`, {
      causes: [`it comes to "${sum}", which is not numbers alone`],
    });
  });
}

/** Whether a text is numbers, added and taken away. */
export function isSum(text: string): boolean {
  return /^\s*\d+(\s*[+-]\s*\d+)*\s*$/.test(text);
}

/** What such a text comes to. */
export function sumOf(text: string): number {
  const terms = text.replaceAll(/\s/g, "").match(/[+-]?\d+/g) ?? [];
  return terms.reduce((sum, term) => sum + Number(term), 0);
}
