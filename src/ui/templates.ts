import type { Resident } from "../../ffi/messages.ts";
import type { Descent } from "../catalog/lineage.ts";
import type { Template } from "../catalog/templates.ts";
import type { Resource } from "../rules/classes.ts";
import type { Plan } from "../rules/plan.ts";
import { nameOfSignal } from "../signals.ts";
import type { TextChange } from "../rules/texts.ts";
import { count, formatAge, formatBytes, formatCommand, printable } from "./format.ts";
import { renderTable } from "./table.ts";

const TEMPLATES = [
  { title: "NAME" },
  { title: "CREATED" },
  { title: "APPLICATION" },
  { title: "GENERATION", right: true },
  { title: "PARENT" },
  { title: "SNAPSHOT" },
  { title: "IN MEMORY", right: true },
];

const RESOURCES = [
  { title: "KIND" },
  { title: "NAME" },
  { title: "SIZE", right: true },
  { title: "CLASS" },
  { title: "TREATMENT" },
  { title: "WHY" },
];

/** What `stasis template ls` shows. */
export function renderTemplates(
  templates: readonly Template[],
  residents: readonly Resident[],
  width?: number,
): string[] {
  const inMemory = (name: string) => residents.find((one) => one.name === name)?.bytes;
  const rows = templates.map((one) => [
    one.name,
    formatAge(one.created),
    one.application ?? "(process tree)",
    String(one.generation),
    one.parent ?? "",
    one.snapshot ?? "",
    formatKnownBytes(inMemory(one.name)),
  ]);
  return renderTable(TEMPLATES, rows, width);
}

/** What `stasis template ls --tree` shows: one line for each, indented by descent; names alone when it is `quiet`. */
export function renderLineage(lineage: readonly Descent[], quiet: boolean): string[] {
  return lineage.flatMap((one) => renderDescent(one, "", "", quiet));
}

/** `first` goes before the line itself, `rest` before what is below it. */
function renderDescent(one: Descent, first: string, rest: string, quiet: boolean): string[] {
  const below = [
    ...one.clones.map((clone) => (lead: string) => [lead + describeClone(clone, quiet)]),
    ...one.templates.map((child) => (lead: string, next: string) => renderDescent(child, lead, next, quiet)),
  ];
  const lines = below.flatMap((render, index) => {
    const last = index === below.length - 1;
    return render(`${rest}${last ? "`-- " : "|-- "}`, `${rest}${last ? "    " : "|   "}`);
  });
  return [first + describeDescent(one, quiet), ...lines];
}

function describeDescent({ name, there, generation, application }: Descent, quiet: boolean): string {
  if (quiet) return name;
  if (!there) return `${name} (removed)`;
  const from = application === undefined ? "a process tree" : `"${printable(application)}"`;
  return `${name} (template of ${from}${generation === 1 ? "" : `, generation ${generation}`})`;
}

function describeClone({ name, aid, pid }: Descent["clones"][number], quiet: boolean): string {
  return quiet ? name : `${name} (${aid}, ${pid === undefined ? "running" : `pid ${pid}`})`;
}

/** What `stasis template show` shows: where it comes from, and every resource. */
export function renderTemplate(template: Template, resources: readonly Resource[], width?: number): string[] {
  const facts: [string, string][] = [
    ["template", template.name],
    ["created", template.created],
    ["application", template.application ?? "(process tree)"],
    ["snapshot", template.snapshot ?? ""],
    ["generation", String(template.generation)],
    ["parent", template.parent ?? ""],
    ["image", template.image],
    ["rules", template.rules === undefined ? "" : template.rulesPath],
  ];
  const rows = resources.map((one) => [
    one.kind,
    one.name,
    formatKnownBytes(one.bytes),
    one.class,
    one.treatment,
    one.why,
  ]);
  return [...renderFacts(facts), "", ...renderTable(RESOURCES, rows, width)];
}

/** What `stasis template check` shows: what would become of a first clone. */
export function renderPlan(plan: Plan, texts: readonly TextChange[]): string[] {
  const { edits } = plan.customising;
  const own = (edits.mounts ?? []).filter(({ source }) => typeof source === "string");
  return renderFacts([
    ["name", plan.name],
    ["hostname", plan.hostname],
    ["tcp", plan.tcp ?? "keep"],
    ["signal", plan.signal === undefined ? "" : nameOfSignal(plan.signal)],
    ...Object.entries(plan.files).map(([old, current]): [string, string] => ["path", `${old} -> ${current}`]),
    ...texts.map((one): [string, string] => ["text", `${one.file}: ${describeChange(one)}`]),
    ...own.map((
      { target, source },
    ): [string, string] => ["file", `${target} (${source === "copy" ? "a copy" : source})`]),
    ...(edits.environment ?? []).map((one): [string, string] => [
      "environment",
      `${one.name}=${one.value}${within(one.process)}`,
    ]),
    ...(edits.arguments ?? []).map((one): [string, string] => [
      "argument",
      `${one.find} -> ${one.replace}${within(one.process)}`,
    ]),
    [
      "stdout",
      edits.output === undefined ? "" : typeof edits.output === "string" ? edits.output : edits.output.path,
    ],
    ...(edits.ports ?? []).map((
      { from, to },
    ): [string, string] => ["port", `${from} -> ${to === 0 ? "any" : to}`]),
    ["network", plan.vne ?? ""],
    ["address", plan.address ?? ""],
    ...plan.publish.map(({ protocol, port, host }): [string, string] => [
      "publish",
      `${host === 0 ? "any" : host} -> ${port} (${protocol})`,
    ]),
    ["leave out", [...(edits.leave_out?.paths ?? []), ...(edits.leave_out?.kinds ?? [])].join(", ")],
    ...(edits.connections ?? []).map(({ end, keep }): [string, string] => [keep ? "keep" : "close", end]),
    ...plan.before.map((words): [string, string] => ["before", formatCommand(words)]),
    ...plan.insideBefore.map((words): [string, string] => ["inside before", formatCommand(words)]),
    ...plan.insideAfter.map((words): [string, string] => ["inside after", formatCommand(words)]),
    ...plan.after.map((words): [string, string] => ["after", formatCommand(words)]),
  ]);
}

function formatKnownBytes(bytes: number | undefined): string {
  return bytes === undefined ? "" : formatBytes(bytes);
}

function describeChange({ sought, replace, count: found }: TextChange): string {
  const times = found < 0 ? "not there yet" : count(found, "occurrence");
  return `${sought} -> "${replace}" (${times})`;
}

function within(process?: string): string {
  return process === undefined ? "" : ` (in ${process})`;
}

/** What has nothing to say is left out. */
function renderFacts(facts: readonly [string, string][]): string[] {
  const told = facts.filter(([, value]) => value !== "");
  const width = Math.max(...told.map(([title]) => title.length));
  return told.map(([title, value]) => `${title.padEnd(width)}  ${printable(value)}`);
}
