import type { Resource } from "./classes.ts";
import type { Rules } from "./rules.ts";
import { soughtBy } from "./texts.ts";

/** What rules change that is no resource with a name of its own in the image: a row for each rule. */
export function customised(rules: Rules): Resource[] {
  return [
    ...rules.texts.map((rule) =>
      row(
        "text",
        rule.file,
        `a private copy stands there, with ${soughtBy(rule)} replaced by "${rule.replace}"`,
      )
    ),
    ...rules.logs.map((path) => row("file", path, "each clone has its own there, which begins empty")),
    ...rules.pidFiles.map((path) => row("file", path, "each clone has a copy of its own there")),
    ...rules.environment.map((one) =>
      row("environment", one.name, `a clone's is "${one.value}"${within(one.process)}`)
    ),
    ...rules.arguments.map((one) =>
      row("arguments", one.find, `replaced by "${one.replace}"${within(one.process)}`)
    ),
    ...(rules.stdout === undefined
      ? []
      : [row("output", "standard output and error", outputOf(rules.stdout))]),
  ];
}

function row(kind: string, name: string, why: string): Resource {
  return { kind, name, class: "non-shareable", treatment: "customise", why };
}

function within(process?: string): string {
  return process === undefined ? "" : `, in processes called "${process}"`;
}

function outputOf(stdout: string): string {
  if (stdout === "log") return "a clone's goes to its log";
  return stdout === "null" ? "a clone's goes nowhere" : `a clone's is appended to "${stdout}"`;
}

/** Whether a file that the application writes is each clone's own by a rule for its path alone. */
export function isOwnFile(path: string, rules: Rules): boolean {
  return [...rules.logs, ...rules.pidFiles].includes(path) || rules.texts.some(({ file }) => file === path);
}

/** Whether the rules leave a descriptor out. */
export function isLeftOut(kind: string, rules: Rules): boolean {
  return rules.leaveOut.kinds.includes(kind);
}
