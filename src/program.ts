import type { Command, CommandUnknownOpts } from "@commander-js/extra-typings";
import { branch } from "./commands/branch.ts";
import { clone } from "./commands/clone.ts";
import { completeIds } from "./commands/complete_ids.ts";
import { completions } from "./commands/completions.ts";
import { doctor } from "./commands/doctor.ts";
import { exec } from "./commands/exec.ts";
import { exportSnapshot } from "./commands/export.ts";
import { ids } from "./commands/ids.ts";
import { importSnapshot } from "./commands/import.ts";
import { inspect } from "./commands/inspect.ts";
import { kill } from "./commands/kill.ts";
import { logs } from "./commands/logs.ts";
import { man } from "./commands/man.ts";
import { move } from "./commands/move.ts";
import { peer } from "./commands/peer.ts";
import { ps } from "./commands/ps.ts";
import { restore } from "./commands/restore.ts";
import { rm } from "./commands/rm.ts";
import { rollback } from "./commands/rollback.ts";
import { run } from "./commands/run.ts";
import { snapshot } from "./commands/snapshot.ts";
import { snapshots } from "./commands/snapshots.ts";
import { stop } from "./commands/stop.ts";
import { template } from "./commands/template.ts";
import { verify } from "./commands/verify.ts";
import { vne } from "./commands/vne.ts";
import { wait } from "./commands/wait.ts";
import type { Open } from "./session.ts";
import { addCommonOptions, verb } from "./verb.ts";

/** The whole command line. Nothing is printed and nothing exits on its own: errors and help are thrown. */
export function buildProgram(open: Open): CommandUnknownOpts {
  const program = verb("stasis", "Run applications, take snapshots of them and bring them back.")
    .usage("COMMAND [OPTION...] [ARGUMENT...]")
    .option("-V, --version", "show the version")
    .addHelpCommand(help())
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .addHelpText("after", EXAMPLES);
  const groups: [title: string, commands: CommandUnknownOpts[]][] = [
    ["Applications:", [run, ps, ids, logs, exec, stop, kill, wait, move].map((make) => make(open))],
    [
      "Snapshots:",
      [snapshot, restore, rollback, snapshots, inspect, verify, exportSnapshot, importSnapshot, rm].map((
        make,
      ) => make(open)),
    ],
    ["Clones:", [template, clone, branch].map((make) => make(open))],
    ["Networks:", [vne(open)]],
    ["Help:", [doctor(open), completions(open, program), man(open, program)]],
  ];
  for (const [title, commands] of groups) {
    for (const command of commands) program.addCommand(command.helpGroup(title));
  }
  for (const hidden of [completeIds(open), peer(open)]) program.addCommand(hidden, { hidden: true });
  for (const command of within(program)) inherit(command, program);
  for (const command of [program, ...within(program)]) addCommonOptions(command);
  return program;
}

/** Every command below this one, at any depth. */
function within(command: CommandUnknownOpts): CommandUnknownOpts[] {
  return command.commands.flatMap((inner) => [inner, ...within(inner)]);
}

/** addCommand hands nothing down by itself. */
function inherit(command: CommandUnknownOpts, program: CommandUnknownOpts): void {
  command.exitOverride().configureOutput(program.configureOutput()).configureHelp(program.configureHelp());
  command.showSuggestionAfterError();
}

/** `stasis help`; commander carries it out. */
function help(): Command {
  const command = verb("help", "Show how to use a command").helpGroup("Help:");
  command.argument("[verb]", "which one");
  return command;
}

const EXAMPLES = `
Examples:
  stasis run -d --name cache -- redis-server    start an application in the background
  stasis snapshot cache --stop                  put it away
  stasis restore cache@latest -d                and bring it back where it was
  stasis snapshot --pid 4711 --out ./saved      the same for a process that runs already

"stasis COMMAND --help" explains a command; "stasis doctor" tells what this host allows.`;
