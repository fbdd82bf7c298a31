import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { signalNames } from "../signals.ts";

/** What completes a word: the name of the placeholder decides. */
export type Words =
  | "folder"
  | "signal"
  | "app"
  | "snapshot"
  | "target"
  | "template"
  | "environment"
  | "file"
  | "shell"
  | "verb"
  | "command"
  | "none";

export interface Flag {
  short?: string;
  long: string;
  /** The placeholder of the option's value; absent for a switch. */
  value?: string;
  description: string;
  completion: Words;
}

export interface Parameter {
  name: string;
  description: string;
  completion: Words;
}

/** A command that is a name for others, such as `stasis template`. */
export interface Group {
  name: string;
  summary: string;
}

/** One command, with everything that completions and the manual say about it. */
export interface Verb {
  name: string;
  /** What it stands behind: `template` for `stasis template create`. */
  group?: Group;
  summary: string;
  usage: string;
  flags: Flag[];
  parameters: Parameter[];
}

const WORDS: Readonly<Record<string, Words>> = {
  DIR: "folder",
  FILE: "file",
  SIG: "signal",
  app: "app",
  snapshot: "snapshot",
  target: "target",
  template: "template",
  environment: "environment",
  "NAME[=ADDR]": "environment",
  shell: "shell",
  verb: "verb",
  command: "command",
};

/** The words that complete an argument, where they are the same on every host; empty where they are not. */
export function fixedWords(words: Words, verbs: readonly Verb[]): string {
  if (words === "signal") return signalNames().join(" ");
  if (words === "shell") return "bash zsh fish";
  return words === "verb" ? topOf(verbs).map(({ name }) => name).join(" ") : "";
}

/** Whether `stasis complete-ids` knows the words that complete an argument. */
export function areIds(words: Words): boolean {
  return ["app", "snapshot", "target", "template", "environment"].includes(words);
}

/** The visible commands of the program, in their order; those of a group in its place. */
export function verbsOf(program: CommandUnknownOpts): Verb[] {
  const help = program.createHelp();
  return help.visibleCommands(program).flatMap((command) => {
    const inner = help.visibleCommands(command);
    if (inner.length === 0) return [verbOf(command, help)];
    const group = { name: command.name(), summary: command.description() };
    return inner.map((one) => ({ ...verbOf(one, help), group }));
  });
}

/** A command's name as it is written, with its group. */
export function wholeName({ name, group }: Verb): string {
  return group === undefined ? name : `${group.name} ${name}`;
}

/** What may stand first: commands and groups, each once. */
export function topOf(verbs: readonly Verb[]): Group[] {
  const tops = verbs.map(({ name, summary, group }): Group => group ?? { name, summary });
  return tops.filter((top, index) => tops.findIndex((other) => other.name === top.name) === index);
}

/** Every group with its commands. */
export function groupsOf(verbs: readonly Verb[]): [group: Group, members: Verb[]][] {
  return topOf(verbs)
    .map((top): [Group, Verb[]] => [top, verbs.filter((verb) => verb.group?.name === top.name)])
    .filter(([, members]) => members.length > 0);
}

/** The options of the program itself, before any command. */
export function flagsOf(command: CommandUnknownOpts): Flag[] {
  return command.createHelp().visibleOptions(command).map((option) => {
    const [, needed, possible] = /<(.*)>$|\[(.*)\]$/.exec(option.flags) ?? [];
    const value = needed ?? possible;
    return {
      ...(option.short !== undefined && { short: option.short }),
      long: option.long ?? option.flags,
      ...(value !== undefined && { value }),
      description: option.description,
      completion: WORDS[value ?? ""] ?? "none",
    };
  });
}

function verbOf(command: CommandUnknownOpts, help: ReturnType<CommandUnknownOpts["createHelp"]>): Verb {
  return {
    name: command.name(),
    summary: command.description(),
    usage: help.commandUsage(command),
    flags: flagsOf(command),
    parameters: command.registeredArguments.map((argument) => ({
      name: argument.name(),
      description: argument.description,
      completion: WORDS[argument.name()] ?? "none",
    })),
  };
}
