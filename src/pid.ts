import { InvalidArgumentError } from "@commander-js/extra-typings";

/** Reads the value of `--pid`. */
export function parsePid(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be the number of a process.");
}
