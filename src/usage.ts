import { CommanderError } from "@commander-js/extra-typings";
import { type Fault, StasisError } from "../ffi/error.ts";

/** What commander throws when it has shown help or the version: that is no error. */
export function isShown(thrown: unknown): boolean {
  return thrown instanceof CommanderError && thrown.exitCode === 0;
}

/** What commander throws when no command was given at all. */
export function isBare(thrown: unknown): boolean {
  return thrown instanceof CommanderError && thrown.code === "commander.help" && thrown.exitCode !== 0;
}

/** A command line that commander refused, in the one shape that errors have. */
export function usageFault(thrown: CommanderError, verb: string | undefined): Fault {
  const [cause = "", suggestion] = thrown.message.replace(/^error: /, "").split("\n");
  const help = verb === undefined ? "stasis --help" : `stasis ${verb} --help`;
  const meant = suggestion === undefined ? "" : `${suggestion.replace(/^\(|\)$/g, "")} `;
  return StasisError.of("usage", "Could not understand the command line", {
    causes: [cause.replaceAll("'", '"')],
    hint: `${meant}"${help}" explains the command`,
  }).fault;
}
