import { StasisError } from "../../ffi/error.ts";
import type { Tcp } from "../../ffi/messages.ts";
import { parseSignal } from "../signals.ts";
import type { Path } from "./positions.ts";
import { type Reader, spell } from "./reader.ts";
import type { ArgumentRule, Rules, TextRule, VariableRule } from "./rules.ts";
import { isSum, variablesIn } from "./text.ts";
import { readPublished } from "../vne/publishing.ts";

const KEYS = [
  "name",
  "hostname",
  "tcp",
  "signal",
  "stdout",
  "logs",
  "pid_files",
  "paths",
  "text",
  "environment",
  "arguments",
  "ports",
  "vne",
  "address",
  "publish",
  "leave_out",
  "connections",
  "hooks",
  "variables",
];

/** Everything that a rules file says; mistakes are with the reader. */
export function readDocument(reader: Reader): Rules {
  const { document } = reader;
  reader.only([], document, KEYS);
  const variables = reader.declareVariables("variables");
  const hooks = tableOf(reader, "hooks", ["before", "inside_before", "inside_after", "after"]);
  const name = reader.optional(document, ["name"], (path, value) => readName(reader, path, value));
  const hostname = reader.optional(document, ["hostname"], (path, value) => reader.pattern(path, value));
  const tcp = reader.optional(document, ["tcp"], (path, value) => readTcp(reader, path, value));
  const signal = reader.optional(document, ["signal"], (path, value) => readSignal(reader, path, value));
  const stdout = reader.optional(document, ["stdout"], (path, value) => readStdout(reader, path, value));
  const vne = reader.optional(document, ["vne"], (path, value) => {
    return readWithout(
      reader,
      path,
      value,
      ["n", "name", "uuid", "address"],
      "all clones join one environment",
    );
  });
  const address = reader.optional(document, ["address"], (path, value) => {
    return readWithout(reader, path, value, ["address"], "this is what it stands for");
  });
  return {
    ...(name !== undefined && { name }),
    ...(vne !== undefined && { vne }),
    ...(address !== undefined && { address }),
    publish: readPublish(reader),
    ...(hostname !== undefined && { hostname }),
    ...(tcp !== undefined && { tcp }),
    ...(signal !== undefined && { signal }),
    ...(stdout !== undefined && { stdout }),
    paths: readPaths(reader),
    before: readCommands(reader, ["hooks", "before"], hooks["before"]),
    after: readCommands(reader, ["hooks", "after"], hooks["after"]),
    insideBefore: readCommands(reader, ["hooks", "inside_before"], hooks["inside_before"]),
    insideAfter: readCommands(reader, ["hooks", "inside_after"], hooks["inside_after"]),
    logs: readFiles(reader, ["logs"], document["logs"]),
    pidFiles: readFiles(reader, ["pid_files"], document["pid_files"]),
    texts: reader.list(["text"], "an array of tables, each [[text]]", document["text"], readText(reader)),
    environment: readEnvironment(reader),
    arguments: readArguments(reader),
    ports: readPorts(reader),
    leaveOut: readLeaveOut(reader),
    connections: readConnections(reader),
    variables,
  };
}

function tableOf(reader: Reader, key: string, known: readonly string[]): Record<string, unknown> {
  const table = reader.table([key], reader.document[key]);
  reader.only([key], table, known);
  return table;
}

function readName(reader: Reader, path: Path, value: unknown): string | undefined {
  const name = reader.pattern(path, value);
  if (name === undefined) return undefined;
  const used = variablesIn(name).find((variable) => variable === "name" || variable === "address");
  if (used === undefined) return name;
  reader.mistake(path, `"name" cannot use {${used}}: use {template} and {n}`);
  return undefined;
}

/** A text that cannot use some of the variables. */
function readWithout(
  reader: Reader,
  path: Path,
  value: unknown,
  barred: readonly string[],
  why: string,
): string | undefined {
  const text = reader.pattern(path, value);
  if (text === undefined) return undefined;
  const used = variablesIn(text).find((variable) => barred.includes(variable));
  if (used === undefined) return text;
  reader.mistake(path, `${spell(path)} cannot use {${used}}: ${why}`);
  return undefined;
}

function readPublish(reader: Reader): string[] {
  const what = "an array of ports, each [HOSTPORT:]PORT[/udp]";
  return reader.list(["publish"], what, reader.document["publish"], (path, one) => {
    const text = typeof one === "number" ? String(one) : reader.pattern(path, one);
    // Any number does where a variable stands; what it comes to is seen when there is a clone.
    if (text === undefined || readPublished(text.replaceAll(/\{[^{}]*\}/g, "1")) !== undefined) return text;
    return reader.expected(path, 'ports such as "8080", "{n + 18000}:8080" or "5353:53/udp"', one);
  });
}

function readTcp(reader: Reader, path: Path, value: unknown): Tcp | undefined {
  if (value === "keep" || value === "close") return value;
  return reader.expected(path, '"keep" or "close"', value);
}

function readSignal(reader: Reader, path: Path, value: unknown): number | undefined {
  try {
    if (typeof value === "string" || typeof value === "number") return parseSignal(String(value));
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
  }
  return reader.expected(path, `a signal such as "HUP", or a number from 1 to 64`, value);
}

function readStdout(reader: Reader, path: Path, value: unknown): string | undefined {
  if (value === "log" || value === "null") return value;
  if (typeof value === "string" && /^[/{]/.test(value)) return reader.pattern(path, value);
  return reader.expected(path, '"log", "null" or an absolute path', value);
}

function readPaths(reader: Reader): Record<string, string> {
  const pairs: [string, string][] = [];
  for (const [old, value] of Object.entries(reader.table(["paths"], reader.document["paths"]))) {
    const path = ["paths", old];
    const current = reader.pattern(path, value);
    if (!old.startsWith("/")) reader.mistake(path, `"${old}" is no path: expected an absolute one`);
    else if (current !== undefined && !current.startsWith("/") && !current.startsWith("{")) {
      reader.mistake(path, `the new path of "${old}" is "${current}": expected an absolute one`);
    } else if (current !== undefined) pairs.push([old, current]);
  }
  return Object.fromEntries(pairs);
}

function readFiles(reader: Reader, path: Path, value: unknown): string[] {
  return reader.list(path, "an array of paths", value, (place, one) => reader.path(place, one));
}

function readCommands(reader: Reader, path: Path, value: unknown): string[][] {
  const what = "an array of commands, each an array of strings";
  return reader.list(path, what, value, (place, command) => {
    const words = reader.array(place, "a command: an array of strings", command);
    if (Array.isArray(command) && words.length === 0) {
      reader.expected(place, "a command of one word or more", command);
    }
    return words.map((word, index) => reader.pattern([...place, index], word) ?? "");
  });
}

function readText(reader: Reader): (path: Path, value: unknown) => TextRule | undefined {
  return (path, value) => {
    const table = reader.table(path, value);
    reader.only(path, table, ["file", "find", "pattern", "replace"]);
    for (const key of ["file", "replace"].filter((key) => table[key] === undefined)) {
      reader.mistake(path, `this [[text]] has no "${key}"`);
    }
    if ((table["find"] === undefined) === (table["pattern"] === undefined)) {
      reader.mistake(
        path,
        'a [[text]] has either "find", a literal text, or "pattern", a regular expression',
      );
    }
    const file = reader.optional(table, [...path, "file"], (place, one) => reader.path(place, one));
    const find = reader.optional(table, [...path, "find"], (place, one) => reader.literal(place, one));
    const pattern = reader.optional(
      table,
      [...path, "pattern"],
      (place, one) => readRegExp(reader, place, one),
    );
    const replace = reader.optional(
      table,
      [...path, "replace"],
      (place, one) => reader.anyPattern(place, one),
    );
    if (file === undefined || replace === undefined) return undefined;
    if (find !== undefined) return { file, find, replace };
    return pattern === undefined ? undefined : { file, pattern, replace };
  };
}

function readRegExp(reader: Reader, path: Path, value: unknown): string | undefined {
  const text = reader.literal(path, value);
  if (text === undefined) return undefined;
  try {
    if (!new RegExp(text, "gm").test("")) return text;
    reader.mistake(
      path,
      `"${path.at(-1)}" is found where nothing stands: expected one that takes a character or more`,
    );
  } catch (error) {
    reader.mistake(path, error instanceof Error ? error.message : String(error));
  }
  return undefined;
}

/** A value, or a table with it and the name of processes. */
function readSelected(
  reader: Reader,
  path: Path,
  value: unknown,
  key: string,
): { value?: string; process?: string } {
  if (typeof value === "string") return { value: reader.anyPattern(path, value) ?? "" };
  const table = reader.table(path, value);
  reader.only(path, table, [key, "process"]);
  if (Object.keys(table).length > 0 && table[key] === undefined) reader.mistake(path, `there is no "${key}"`);
  const read = reader.optional(table, [...path, key], (place, one) => reader.anyPattern(place, one));
  const process = reader.optional(table, [...path, "process"], (place, one) => reader.literal(place, one));
  return { ...(read !== undefined && { value: read }), ...(process !== undefined && { process }) };
}

function readEnvironment(reader: Reader): VariableRule[] {
  const table = reader.table(["environment"], reader.document["environment"]);
  return Object.entries(table).flatMap(([name, given]) => {
    const path = ["environment", name];
    if (!/^[^=\0]+$/.test(name)) reader.mistake(path, `"${name}" is no name for an environment variable`);
    if (name.startsWith("STASIS_")) reader.mistake(path, `"${name}" is given by stasis`);
    const { value, process } = readSelected(reader, path, given, "value");
    return value === undefined ? [] : [{ name, value, ...(process !== undefined && { process }) }];
  });
}

function readArguments(reader: Reader): ArgumentRule[] {
  const table = reader.table(["arguments"], reader.document["arguments"]);
  return Object.entries(table).flatMap(([find, given]) => {
    const path = ["arguments", find];
    if (find === "") reader.mistake(path, "nothing is found everywhere: expected a text to replace");
    const { value, process } = readSelected(reader, path, given, "replace");
    return value === undefined ? [] : [{ find, replace: value, ...(process !== undefined && { process }) }];
  });
}

function readPorts(reader: Reader): Record<string, string> {
  const table = reader.table(["ports"], reader.document["ports"]);
  const pairs = Object.entries(table).flatMap(([port, value]): [string, string][] => {
    const path = ["ports", port];
    if (!isPort(port)) {
      reader.mistake(path, `"${port}" is no port: expected a number from 1 to 65535`);
      return [];
    }
    if (typeof value === "number" && isPort(String(value))) return [[port, String(value)]];
    const text = typeof value === "string" ? reader.pattern(path, value) : undefined;
    const sum = text?.replaceAll(/\{[^{}]*\}/g, "1");
    if (text !== undefined && (text === "auto" || isSum(sum ?? ""))) return [[port, text]];
    if (typeof value !== "string" || text !== undefined) {
      reader.expected(path, '"auto", a port, or a sum such as "{n + 18000}"', value);
    }
    return [];
  });
  return Object.fromEntries(pairs);
}

export function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535;
}

function readLeaveOut(reader: Reader): Rules["leaveOut"] {
  const table = tableOf(reader, "leave_out", ["paths", "kinds"]);
  const kinds = (path: Path, one: unknown) => reader.literal(path, one);
  return {
    paths: readFiles(reader, ["leave_out", "paths"], table["paths"]),
    kinds: reader.list(["leave_out", "kinds"], "an array of kinds", table["kinds"], kinds),
  };
}

function readConnections(reader: Reader): Rules["connections"] {
  const table = tableOf(reader, "connections", ["keep", "close"]);
  const ends = (key: string) =>
    reader.list(["connections", key], "an array of ADDRESS:PORT", table[key], (path, one) => {
      const text = reader.pattern(path, one);
      if (text === undefined || /^(\*|\[?[0-9A-Fa-f.:]+\]?|\{\w+\}):(\*|\d+|\{\w+\})$/.test(text)) {
        return text;
      }
      return reader.expected(path, 'ADDRESS:PORT, with * for any, such as "*:5432"', one);
    });
  return { keep: ends("keep"), close: ends("close") };
}
