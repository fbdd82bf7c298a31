import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { signalNames } from "../signals.ts";

/** What completes a word: the name of the placeholder decides. */
export type Words =
  | "folder"
  | "signal"
  | "app"
  | "snapshot"
  | "target"
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

/** One command, with everything that completions and the manual say about it. */
export interface Verb {
  name: string;
  summary: string;
  usage: string;
  flags: Flag[];
  parameters: Parameter[];
}

const WORDS: Readonly<Record<string, Words>> = {
  DIR: "folder",
  SIG: "signal",
  app: "app",
  snapshot: "snapshot",
  target: "target",
  shell: "shell",
  verb: "verb",
  command: "command",
};

/** The words that complete an argument, where they are the same on every host; empty where they are not. */
export function fixedWords(words: Words, verbs: readonly Verb[]): string {
  if (words === "signal") return signalNames().join(" ");
  if (words === "shell") return "bash zsh fish";
  return words === "verb" ? verbs.map((verb) => verb.name).join(" ") : "";
}

/** Whether `stasis complete-ids` knows the words that complete an argument. */
export function areIds(words: Words): boolean {
  return words === "app" || words === "snapshot" || words === "target";
}

/** The visible commands of the program, in their order. */
export function verbsOf(program: CommandUnknownOpts): Verb[] {
  const help = program.createHelp();
  return help.visibleCommands(program).map((command) => verbOf(command, help));
}

/** The options of the program itself, before any command. */
export function flagsOf(command: CommandUnknownOpts): Flag[] {
  return command.createHelp().visibleOptions(command).map((option) => {
    const value = /[<[](.*?)[>\]]/.exec(option.flags)?.[1];
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
