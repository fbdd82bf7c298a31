import { parse, TomlError } from "smol-toml";
import { StasisError } from "../../ffi/error.ts";
import type { Tcp } from "../../ffi/messages.ts";
import { parseSignal } from "../signals.ts";
import { type Path, type Place, Positions } from "./positions.ts";
import { BUILT_IN, hasLooseBrace, isVariable, variablesIn } from "./text.ts";

/** What a rules file says about clones. Texts may use variables (text.ts). */
export interface Rules {
  name?: string;
  hostname?: string;
  tcp?: Tcp;
  /** Sent to a clone once it runs. */
  signal?: number;
  /** Where a clone opens a file of the application: old path, or that of a folder above it, to new path. */
  paths: Record<string, string>;
  /** Commands outside of the capsule, before and after a clone is made. */
  before: string[][];
  after: string[][];
  /** Variables that `--set` may set, with what they are without it. */
  variables: Record<string, string>;
}

/** A rules file that was understood, and where its keys stand. */
export interface RulesFile {
  rules: Rules;
  place: (path: Path) => Place;
}

export const NO_RULES: Rules = { paths: {}, before: [], after: [], variables: {} };

/**
 * Reads a rules file; `file` is its name in messages. Every mistake is told at once, each with its line and column, the key and
 * what was expected.
 */
export function parseRules(text: string, file: string): RulesFile {
  const document = parseToml(text, file);
  const positions = new Positions(text);
  const reader = new Reader(document);
  const rules = reader.rules();
  const place = (path: Path) => positions.find(path);
  if (reader.mistakes.length > 0) throw mistaken(file, reader.mistakes, place);
  return { rules, place };
}

/** Something wrong at a key. */
export interface Mistake {
  path: Path;
  problem: string;
}

/** The error for a rules file with mistakes. */
export function mistaken(file: string, mistakes: readonly Mistake[], place: RulesFile["place"]): StasisError {
  return StasisError.of("usage", `Could not use the rules in "${file}"`, {
    causes: mistakes.map(({ path, problem }) => {
      const { line, column } = place(path);
      return `${file}:${line}:${column}: ${problem}`;
    }),
    hint: "docs/templates.md explains every key",
  });
}

function parseToml(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what = ""] = error.message.split("\n");
    const cause = what.replace(/^Invalid TOML document: /, "");
    throw StasisError.of("usage", `Could not use the rules in "${file}"`, {
      causes: [`${file}:${error.line}:${error.column}: it is not TOML: ${cause}`],
    });
  }
}

const KEYS = ["name", "hostname", "tcp", "signal", "paths", "hooks", "variables"];

/** Takes a document apart and notes what is wrong with it. */
class Reader {
  readonly mistakes: Mistake[] = [];
  #declared: ReadonlySet<string> = new Set();

  constructor(readonly document: Record<string, unknown>) {}

  rules(): Rules {
    this.#only([], this.document, KEYS);
    const variables = this.#variables();
    this.#declared = new Set([...BUILT_IN, ...Object.keys(variables)]);
    const hooks = this.#table(["hooks"], this.document["hooks"]);
    this.#only(["hooks"], hooks, ["before", "after"]);
    const name = this.#optional("name", (path, value) => this.#name(path, value));
    const hostname = this.#optional("hostname", (path, value) => this.#pattern(path, value));
    const tcp = this.#optional("tcp", (path, value) => this.#tcp(path, value));
    const signal = this.#optional("signal", (path, value) => this.#signal(path, value));
    return {
      ...(name !== undefined && { name }),
      ...(hostname !== undefined && { hostname }),
      ...(tcp !== undefined && { tcp }),
      ...(signal !== undefined && { signal }),
      paths: this.#paths(),
      before: this.#commands(["hooks", "before"], hooks["before"]),
      after: this.#commands(["hooks", "after"], hooks["after"]),
      variables,
    };
  }

  #optional<T>(key: string, read: (path: Path, value: unknown) => T | undefined): T | undefined {
    const value = this.document[key];
    return value === undefined ? undefined : read([key], value);
  }

  #variables(): Record<string, string> {
    const declared = this.#table(["variables"], this.document["variables"]);
    const pairs: [string, string][] = [];
    for (const [name, value] of Object.entries(declared)) {
      const path = ["variables", name];
      if (BUILT_IN.has(name)) this.#mistake(path, `"${name}" is a variable already: choose another name`);
      else if (!isVariable(name)) this.#mistake(path, `"${name}" is no name for a variable: expected a word`);
      else if (typeof value === "string") pairs.push([name, value]);
      else this.#expected(path, "a string", value);
    }
    return Object.fromEntries(pairs);
  }

  #name(path: Path, value: unknown): string | undefined {
    const name = this.#pattern(path, value);
    if (name === undefined || !variablesIn(name).includes("name")) return name;
    this.#mistake(path, '"name" cannot use {name}: use {template} and {n}');
    return undefined;
  }

  #tcp(path: Path, value: unknown): Tcp | undefined {
    if (value === "keep" || value === "close") return value;
    this.#expected(path, '"keep" or "close"', value);
    return undefined;
  }

  #signal(path: Path, value: unknown): number | undefined {
    try {
      if (typeof value === "string" || typeof value === "number") return parseSignal(String(value));
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
    }
    this.#expected(path, `a signal such as "HUP", or a number from 1 to 64`, value);
    return undefined;
  }

  #paths(): Record<string, string> {
    const pairs: [string, string][] = [];
    for (const [old, value] of Object.entries(this.#table(["paths"], this.document["paths"]))) {
      const path = ["paths", old];
      const current = this.#pattern(path, value);
      if (!old.startsWith("/")) this.#mistake(path, `"${old}" is no path: expected an absolute one`);
      else if (current !== undefined && !current.startsWith("/") && !current.startsWith("{")) {
        this.#mistake(path, `the new path of "${old}" is "${current}": expected an absolute one`);
      } else if (current !== undefined) pairs.push([old, current]);
    }
    return Object.fromEntries(pairs);
  }

  #commands(path: Path, value: unknown): string[][] {
    if (value === undefined) return [];
    return this.#array(path, "an array of commands, each an array of strings", value)
      .map((command, index) => this.#command([...path, index], command));
  }

  #command(path: Path, value: unknown): string[] {
    const words = this.#array(path, "a command: an array of strings", value);
    if (Array.isArray(value) && words.length === 0) {
      this.#expected(path, "a command of one word or more", value);
    }
    return words.map((word, index) => this.#pattern([...path, index], word) ?? "");
  }

  /** A text whose variables all exist. */
  #pattern(path: Path, value: unknown): string | undefined {
    if (typeof value !== "string") return this.#expected(path, "a string", value);
    const unknown = variablesIn(value).filter((name) => !this.#declared.has(name));
    for (const name of unknown) {
      this.#mistake(
        path,
        `${spell(path)} uses {${name}}, which is no variable: declare it under [variables]`,
      );
    }
    if (value === "") return this.#expected(path, "a string with something in it", value);
    if (value.includes("\0")) return this.#expected(path, "a string without NUL", value);
    if (hasLooseBrace(value)) {
      this.#mistake(path, `${spell(path)} has a single brace: write {{ for { and }} for }`);
      return undefined;
    }
    return unknown.length === 0 ? value : undefined;
  }

  #table(path: Path, value: unknown): Record<string, unknown> {
    if (value === undefined) return {};
    if (isTable(value)) return value;
    this.#expected(path, "a table", value);
    return {};
  }

  #array(path: Path, what: string, value: unknown): unknown[] {
    if (Array.isArray(value)) return value;
    this.#expected(path, what, value);
    return [];
  }

  #only(path: Path, table: Record<string, unknown>, known: readonly string[]): void {
    for (const key of Object.keys(table).filter((key) => !known.includes(key))) {
      this.#mistake([...path, key], `there is no key "${key}": expected ${known.join(", ")}`);
    }
  }

  #expected(path: Path, what: string, found: unknown): undefined {
    this.#mistake(path, `${spell(path)} is ${describe(found)}: expected ${what}`);
  }

  #mistake(path: Path, problem: string): void {
    this.mistakes.push({ path, problem });
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function spell(path: Path): string {
  const words = path.map((step) => typeof step === "number" ? `[${step}]` : `.${step}`);
  return `"${words.join("").replace(/^\./, "")}"`;
}

function describe(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (isTable(value)) return "a table";
  return String(value);
}
