import { CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Client } from "../ffi/client.ts";
import type { Fault } from "../ffi/error.ts";
import { locateHome, surroundings } from "./catalog/home.ts";
import { version } from "./commands/version.ts";
import { applicationEnvironment } from "./environment.ts";
import { Interrupts } from "./interrupts.ts";
import { buildProgram } from "./program.ts";
import { type Caller, type Open, Session } from "./session.ts";
import { faultOf, showFault } from "./ui/errors.ts";
import { Output, type OutputOptions, STDERR, STDOUT, wantsNoColor } from "./ui/output.ts";
import { isBare, isShown, usageFault } from "./usage.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));

/** Runs one command and returns its exit code. */
async function main(args: string[]): Promise<number> {
  const interrupts = new Interrupts();
  interrupts.install();
  let session: Session | undefined;
  const open = (options: OutputOptions) => session = openSession(options, interrupts);
  const program = buildProgram(open);
  try {
    await execute(program, args, open);
    return session?.exitCode ?? 0;
  } catch (thrown) {
    // Whoever read our output has enough of it, as in "stasis ps | head -1".
    if (isShown(thrown) || thrown instanceof Deno.errors.BrokenPipe) return 0;
    const output = session?.output ?? outputFor({ json: asksForJson(args) });
    const fault = thrown instanceof CommanderError
      ? usageFault(thrown, verbIn(program, args))
      : faultOf(thrown);
    return report(fault, output);
  }
}

/** The command that words name: the innermost, as `create` of `template create`; the program itself for none. */
function commandIn(program: CommandUnknownOpts, words: readonly string[]): CommandUnknownOpts {
  const [first, ...more] = words.filter((word) => !word.startsWith("-"));
  const inner = program.commands.find((command) => command.name() === first);
  return inner === undefined ? program : commandIn(inner, more);
}

/** Its name with those of its groups; undefined for the program itself. */
function verbIn(program: CommandUnknownOpts, words: readonly string[]): string | undefined {
  const names: string[] = [];
  for (let command = commandIn(program, words); command.parent !== null; command = command.parent) {
    names.unshift(command.name());
  }
  return names.length === 0 ? undefined : names.join(" ");
}

/** Runs what the words say. No command at all asks for the version, or, as a group of commands does, for how to go on. */
async function execute(program: CommandUnknownOpts, args: string[], open: Open): Promise<void> {
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (thrown) {
    if (!isBare(thrown)) throw thrown;
    if ("version" in program.opts()) version(open, program);
    else commandIn(program, args).outputHelp();
  }
}

function report(fault: Fault, output: Output): number {
  showFault(fault, output);
  return fault.exit;
}

function openSession(options: OutputOptions, interrupts: Interrupts): Session {
  const home = locateHome(surroundings());
  return new Session(new Client(home), home, outputFor(options), interrupts, caller());
}

function caller(): Caller {
  return {
    cwd: Deno.cwd(),
    env: applicationEnvironment(Deno.env.toObject()),
    terminal: Deno.stdin.isTerminal() && Deno.stdout.isTerminal(),
  };
}

function outputFor(options: OutputOptions): Output {
  return new Output(STDOUT, STDERR, options, wantsNoColor((name) => Deno.env.get(name)));
}

/** For a command line that could not be understood: did it ask for JSON before any `--`? */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).includes("--json");
}
