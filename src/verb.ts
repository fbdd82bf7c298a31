import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { OutputOptions } from "./ui/output.ts";

/** The options that every command takes. */
export type CommonOptions = { json?: true; quiet?: true };

const GROUP = "Common options:";

/** Begins a command: its name, what it does in one line, and the options that every command takes. */
export function verb(name: string, summary: string): Command<[], CommonOptions> {
  return new Command(name)
    .description(summary)
    .addOption(new Option("--json", "print data as JSON, and errors too").helpGroup(GROUP))
    .addOption(new Option("-q, --quiet", "no remarks on stderr; lists print ids only").helpGroup(GROUP))
    .addHelpOption(new Option("-h, --help", "show how to use this command").helpGroup(GROUP))
    .allowExcessArguments(false);
}

/** The common options of a command, whether they stood before its name or behind it. */
export function outputOptions(command: CommandUnknownOpts): OutputOptions {
  return command.optsWithGlobals();
}

/** Collects an option that may be given more than once. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
