/** The texts of rules: `{n}` and other variables stand for what differs between clones; `{{` and `}}` are braces. */

const PIECE = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What every rule may use without declaring it. */
export const BUILT_IN: ReadonlySet<string> = new Set(["n", "name", "uuid", "template"]);

export function isVariable(name: string): boolean {
  return VARIABLE.test(name);
}

/** The variables that a text uses, in their order. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(PIECE)].map((match) => match[1]).filter((name) => name !== undefined);
}

/** Whether a text has a brace that is neither doubled nor one of a pair. */
export function hasLooseBrace(text: string): boolean {
  return [...text.matchAll(PIECE)].some(([piece]) => piece === "{" || piece === "}");
}

/** Puts values in the place of variables. Every variable must have one. */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replace(PIECE, (piece: string, name: string | undefined) => {
    if (name === undefined) return piece[0] ?? "";
    return values.get(name) ?? piece;
  });
}
