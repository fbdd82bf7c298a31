import { StasisError } from "../../ffi/error.ts";
import type { Edits } from "../../ffi/edits.ts";
import { isPort } from "./document.ts";
import { isWithin } from "./inside.ts";
import type { Rules, TextRule } from "./rules.ts";
import { isSum, sumOf } from "./text.ts";

/** Puts a clone's values in the place of variables. */
export type Fill = (text: string) => string;

/** What one clone's rules change in it. */
export interface Customising {
  /** For the engine, but for changed texts: those are read when the clone is made. */
  edits: Edits;
  texts: TextPlan[];
}

export interface TextPlan extends TextRule {
  /** Where the file is read from, which a rule may have moved. */
  source: string;
}

/** Decides what becomes of the texts, files, ports and so on of one clone; `files` are the paths that move. */
export function customise(rules: Rules, files: Readonly<Record<string, string>>, fill: Fill): Customising {
  const edits: Edits = {};
  const mounts = mountsOf(rules, files, fill);
  if (mounts.length > 0) edits.mounts = mounts;
  if (rules.environment.length > 0) {
    edits.environment = rules.environment.map((one) => ({ ...one, value: fill(one.value) }));
  }
  if (rules.arguments.length > 0) {
    edits.arguments = rules.arguments.map((one) => ({ ...one, replace: fill(one.replace) }));
  }
  if (rules.stdout !== undefined) edits.output = outputOf(fill(rules.stdout));
  const ports = Object.entries(rules.ports);
  if (ports.length > 0) edits.ports = ports.map(([from, to]) => portOf(from, fill(to)));
  const { paths, kinds } = rules.leaveOut;
  if (paths.length + kinds.length > 0) edits.leave_out = { paths: paths.map(fill), kinds };
  const connections = connectionsOf(rules, fill);
  if (connections.length > 0) edits.connections = connections;
  return { edits, texts: rules.texts.map((rule) => textOf(rule, files, fill)) };
}

function mountsOf(
  rules: Rules,
  files: Readonly<Record<string, string>>,
  fill: Fill,
): Edits["mounts"] & object {
  const paths = Object.entries(files).map(([old, path]) => ({ target: trimmed(old), source: { path } }));
  const own = (path: string, source: "copy" | "empty") => ({
    target: absolute(fill(path), "a file"),
    source,
  });
  return [
    ...paths,
    ...rules.logs.map((path) => own(path, "empty")),
    ...rules.pidFiles.map((path) => own(path, "copy")),
  ];
}

function outputOf(text: string): Edits["output"] & (string | object) {
  return text === "log" || text === "null" ? text : { path: absolute(text, "the output") };
}

function portOf(from: string, text: string): { from: number; to: number } {
  if (text === "auto") return { from: Number(from), to: 0 };
  const to = isSum(text) ? sumOf(text) : NaN;
  if (isPort(String(to))) return { from: Number(from), to };
  throw StasisError.of("usage", `Could not give port ${from} another one`, {
    causes: [`"${text}" comes to no port from 1 to 65535`],
    hint: 'Change the rule under "ports"',
  });
}

function connectionsOf({ connections }: Rules, fill: Fill): Edits["connections"] & object {
  const all = (ends: readonly string[], keep: boolean) => ends.map((end) => ({ end: fill(end), keep }));
  return [...all(connections.keep, true), ...all(connections.close, false)];
}

function textOf(rule: TextRule, files: Readonly<Record<string, string>>, fill: Fill): TextPlan {
  const file = absolute(fill(rule.file), "a text");
  // A regular expression's replacement has signs of its own, and values are none.
  const value = rule.pattern === undefined ? fill : (text: string) => fillLiterally(text, fill);
  return { ...rule, file, source: placeOf(file, files), replace: value(rule.replace) };
}

function fillLiterally(text: string, fill: Fill): string {
  return text.replaceAll(/\{\{|\}\}|\{[^{}]*\}/g, (piece) => fill(piece).replaceAll("$", "$$$$"));
}

/** Where a path leads that a rule may have moved. */
function placeOf(path: string, files: Readonly<Record<string, string>>): string {
  const above =
    Object.keys(files).filter((old) => isWithin(path, old)).sort((a, b) => b.length - a.length)[0];
  if (above === undefined) return path;
  return trimmed(files[above] ?? "") + path.slice(trimmed(above).length);
}

function trimmed(path: string): string {
  return path.replace(/(.)\/+$/, "$1");
}

/** Only a path that begins at the root is the same for everybody. */
export function absolute(path: string, what: string): string {
  if (path.startsWith("/")) return path;
  throw StasisError.of("usage", `Could not find a place for ${what}`, {
    causes: [`"${path}" is no absolute path`],
  });
}
