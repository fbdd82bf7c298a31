import { constants } from "node:os";
import { StasisError } from "../ffi/error.ts";

const HIGHEST = 64;
const NUMBERS: ReadonlyMap<string, number> = new Map(Object.entries(constants.signals));

/** Every signal's name without its `SIG`, as `kill -s` takes it. */
export function signalNames(): string[] {
  return [...NUMBERS.keys()].map((name) => name.slice(3));
}

/** The number of a signal that is written as `TERM`, `SIGTERM`, `term` or `15`. */
export function parseSignal(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : NUMBERS.get(withPrefix(text.toUpperCase()));
  if (number !== undefined && number >= 1 && number <= HIGHEST) return number;
  throw StasisError.of("usage", `Could not understand the signal "${text}"`, {
    hint: "Write a name such as TERM or HUP, or a number from 1 to 64",
  });
}

export function numberOf(name: NodeJS.Signals): number {
  return constants.signals[name];
}

/** `SIGKILL` for 9; signals without a name keep their number. */
export function nameOfSignal(number: number): string {
  for (const [name, value] of NUMBERS) if (value === number) return name;
  return `signal ${number}`;
}

function withPrefix(name: string): string {
  return name.startsWith("SIG") ? name : `SIG${name}`;
}
