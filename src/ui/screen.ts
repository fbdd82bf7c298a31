import type { Output } from "./output.ts";

const HOME_AND_CLEAR = "\x1b[H\x1b[2J";

/**
 * Shows something that changes: drawn anew each time on a terminal, where that has room for it; elsewhere printed
 * whenever it differs from what was there before.
 */
export class Screen {
  #shown: string | undefined;

  constructor(readonly output: Output) {}

  show(lines: readonly string[]): void {
    const text = lines.map((line) => `${line}\n`).join("");
    if (text === this.#shown) return;
    const { stdout, json } = this.output;
    const separator = this.#shown === undefined || json ? "" : "\n";
    stdout.write((stdout.terminal && !json ? HOME_AND_CLEAR : separator) + text);
    this.#shown = text;
  }
}
