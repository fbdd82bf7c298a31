import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { OutputOptions } from "./ui/output.ts";

const GROUP = "Common options:";

/** Begins a command: its name and what it does in one line. */
export function verb(name: string, summary: string): Command {
  return new Command(name).description(summary).allowExcessArguments(false);
}

/** Adds what every command takes, below its own options. */
export function addCommonOptions(command: CommandUnknownOpts): void {
  const options = [
    new Option("--json", "print data as JSON, and errors too"),
    new Option("-q, --quiet", "no remarks on stderr; lists print ids only"),
  ];
  for (const option of options) command.addOption(option.helpGroup(GROUP));
  command.addHelpOption(new Option("-h, --help", "show how to use this command").helpGroup(GROUP));
}

/** The common options of a command, whether they stood before its name or behind it. */
export function outputOptions(command: CommandUnknownOpts): OutputOptions {
  return command.optsWithGlobals();
}

/** Collects an option that may be given more than once. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
