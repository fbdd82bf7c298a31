import { StasisError } from "../../ffi/error.ts";
import type { Fault } from "../../ffi/error.ts";
import { printable } from "./format.ts";
import type { Output } from "./output.ts";

const ISSUE_HINT = "This is a fault of stasis: please report it with the command and the text above";

/** Whatever was thrown, in the one shape that errors have. */
export function faultOf(thrown: unknown): Fault {
  if (thrown instanceof StasisError) return thrown.fault;
  const cause = thrown instanceof Error ? thrown.message : String(thrown);
  return StasisError.of("internal", "Could not finish because of a fault inside stasis", {
    causes: [cause],
    hint: ISSUE_HINT,
  }).fault;
}

/** Shows an error on stderr: a line each for people, one object for programs. */
export function showFault(fault: Fault, output: Output): void {
  if (output.json) {
    output.stderr.write(`${JSON.stringify({ error: fault })}\n`);
    return;
  }
  const { bold, red, dim } = output.colors;
  const lines = [
    `${red(bold(`error[${fault.code}]:`))} ${printable(fault.message)}`,
    ...(fault.causes ?? []).map((cause) => row("cause", cause)),
    ...(fault.aftermath === undefined ? [] : [row("after", fault.aftermath)]),
    ...(fault.hint === undefined ? [] : [row("hint", fault.hint)]),
  ];
  output.stderr.write(lines.map((line) => `${line}\n`).join(""));

  function row(title: string, text: string): string {
    return `  ${dim(`${title}:`.padEnd(6))} ${printable(text)}`;
  }
}
