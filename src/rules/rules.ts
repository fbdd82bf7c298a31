import { parse, TomlError } from "smol-toml";
import { StasisError } from "../../ffi/error.ts";
import type { Tcp } from "../../ffi/messages.ts";
import { readDocument } from "./document.ts";
import { type Path, type Place, Positions } from "./positions.ts";
import { Reader } from "./reader.ts";

/** What a rules file says about clones. Texts may use variables (text.ts), but for what is sought. */
export interface Rules {
  name?: string;
  hostname?: string;
  tcp?: Tcp;
  /** Sent to a clone once it runs. */
  signal?: number;
  /** Where a clone finds a file of the application: old path, or that of a folder above it, to new path. */
  paths: Record<string, string>;
  /** Files with changed text. */
  texts: TextRule[];
  /** Files that are each clone's own, and begin empty. */
  logs: string[];
  /** Files that are each clone's own, and begin as they are. */
  pidFiles: string[];
  environment: VariableRule[];
  arguments: ArgumentRule[];
  /** `log`, `null` or a path: where the output goes that went to the log or outside. */
  stdout?: string;
  /** Port of the application to that on the host: a sum, or `auto`. */
  ports: Record<string, string>;
  /** The virtual network environment of clones, and the address of each there. */
  vne?: string;
  address?: string;
  /** Ports of the host that lead to each: `[HOSTPORT:]PORT[/udp]`. */
  publish: string[];
  /** Descriptors that are not brought back. */
  leaveOut: { paths: string[]; kinds: string[] };
  /** `ADDRESS:PORT` of either end of TCP connections. */
  connections: { keep: string[]; close: string[] };
  /** Commands outside of the capsule, before and after a clone is made. */
  before: string[][];
  after: string[][];
  /** Commands in the clone's capsule, before it lives and after. */
  insideBefore: string[][];
  insideAfter: string[][];
  /** Variables that `--set` may set, with what they are without it. */
  variables: Record<string, string>;
}

/** A change of a file's text. One of `find`, which is literal, and `pattern`, a regular expression, is there. */
export interface TextRule {
  file: string;
  find?: string;
  pattern?: string;
  replace: string;
}

/** A variable in the memory of processes; of those called `process` where that is there. */
export interface VariableRule {
  name: string;
  value: string;
  process?: string;
}

/** A literal text in arguments. */
export interface ArgumentRule {
  find: string;
  replace: string;
  process?: string;
}

/** A rules file that was understood, and where its keys stand. */
export interface RulesFile {
  rules: Rules;
  place: (path: Path) => Place;
}

export const NO_RULES: Rules = {
  paths: {},
  texts: [],
  logs: [],
  pidFiles: [],
  environment: [],
  arguments: [],
  ports: {},
  publish: [],
  leaveOut: { paths: [], kinds: [] },
  connections: { keep: [], close: [] },
  before: [],
  after: [],
  insideBefore: [],
  insideAfter: [],
  variables: {},
};

/**
 * Reads a rules file; `file` is its name in messages. Every mistake is told at once, each with its line and column, the key and
 * what was expected.
 */
export function parseRules(text: string, file: string): RulesFile {
  const document = parseToml(text, file);
  const positions = new Positions(text);
  const reader = new Reader(document);
  const rules = readDocument(reader);
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
