import type { Path } from "./positions.ts";
import type { Mistake } from "./rules.ts";
import { BUILT_IN, hasLooseBrace, isVariable, variablesIn } from "./text.ts";

export type Table = Record<string, unknown>;

/** Takes the values of a document, and notes what is wrong with them. What is missing is no mistake. */
export class Reader {
  readonly mistakes: Mistake[] = [];
  #declared: ReadonlySet<string> = BUILT_IN;

  constructor(readonly document: Table) {}

  /** The variables that the document declares. Only what is read later may use them. */
  declareVariables(key: string): Record<string, string> {
    const pairs: [string, string][] = [];
    for (const [name, value] of Object.entries(this.table([key], this.document[key]))) {
      const path = [key, name];
      if (BUILT_IN.has(name)) this.mistake(path, `"${name}" is a variable already: choose another name`);
      else if (!isVariable(name)) this.mistake(path, `"${name}" is no name for a variable: expected a word`);
      else if (typeof value === "string") pairs.push([name, value]);
      else this.expected(path, "a string", value);
    }
    this.#declared = new Set([...BUILT_IN, ...pairs.map(([name]) => name)]);
    return Object.fromEntries(pairs);
  }

  /** What a key holds, read by `read`; nothing when the key is not there or holds something wrong. */
  optional<T>(
    table: Table,
    path: Path,
    read: (path: Path, value: unknown) => T | undefined,
  ): T | undefined {
    const value = table[String(path.at(-1))];
    return value === undefined ? undefined : read(path, value);
  }

  /** A text that is not empty and in which braces mean nothing. */
  literal(path: Path, value: unknown): string | undefined {
    if (typeof value !== "string") return this.expected(path, "a string", value);
    if (value === "") return this.expected(path, "a string with something in it", value);
    if (value.includes("\0")) return this.expected(path, "a string without NUL", value);
    return value;
  }

  /** A text whose variables all exist. */
  pattern(path: Path, value: unknown): string | undefined {
    return value === "" ? this.literal(path, value) : this.anyPattern(path, value);
  }

  /** The same where nothing is a text as well. */
  anyPattern(path: Path, value: unknown): string | undefined {
    if (typeof value !== "string") return this.expected(path, "a string", value);
    const unknown = variablesIn(value).filter((name) => !this.#declared.has(name));
    for (const name of unknown) {
      this.mistake(
        path,
        `${spell(path)} uses {${name}}, which is no variable: declare it under [variables]`,
      );
    }
    if (value.includes("\0")) return this.expected(path, "a string without NUL", value);
    if (hasLooseBrace(value)) {
      this.mistake(path, `${spell(path)} has a single brace: write {{ for { and }} for }`);
      return undefined;
    }
    return unknown.length === 0 ? value : undefined;
  }

  /** An absolute path, as far as that can be told before variables have values. */
  path(path: Path, value: unknown): string | undefined {
    const text = this.pattern(path, value);
    if (text === undefined || text.startsWith("/") || text.startsWith("{")) return text;
    this.mistake(path, `${spell(path)} is "${text}": expected an absolute path`);
    return undefined;
  }

  /** Every element that `read` accepts. */
  list<T>(path: Path, what: string, value: unknown, read: (path: Path, one: unknown) => T | undefined): T[] {
    if (value === undefined) return [];
    return this.array(path, what, value)
      .map((one, index) => read([...path, index], one))
      .filter((one) => one !== undefined);
  }

  table(path: Path, value: unknown): Table {
    if (value === undefined) return {};
    if (isTable(value)) return value;
    this.expected(path, "a table", value);
    return {};
  }

  array(path: Path, what: string, value: unknown): unknown[] {
    if (Array.isArray(value)) return value;
    this.expected(path, what, value);
    return [];
  }

  /** Refuses every other key. */
  only(path: Path, table: Table, known: readonly string[]): void {
    for (const key of Object.keys(table).filter((key) => !known.includes(key))) {
      this.mistake([...path, key], `there is no key "${key}": expected ${known.join(", ")}`);
    }
  }

  expected(path: Path, what: string, found: unknown): undefined {
    this.mistake(path, `${spell(path)} is ${describe(found)}: expected ${what}`);
  }

  mistake(path: Path, problem: string): void {
    this.mistakes.push({ path, problem });
  }
}

function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** A key for a person to read. */
export function spell(path: Path): string {
  const words = path.map((step) => typeof step === "number" ? `[${step}]` : `.${step}`);
  return `"${words.join("").replace(/^\./, "")}"`;
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (isTable(value)) return "a table";
  return String(value);
}
