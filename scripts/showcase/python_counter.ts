/** A Python program in the middle of its work: it counts in memory and writes each number behind the last. */

import { setTimeout as delay } from "node:timers/promises";
import type { Stasis } from "./stasis.ts";

export interface CounterState {
  /** Drawn at random when the program starts. */
  token: string;
  value: number;
  /** Lines that do not continue the one before. */
  gaps: number;
}

const PROGRAM = `
import secrets, sys, time
token, counted = secrets.token_hex(4), []
with open(sys.argv[1], "a", buffering=1) as out:
    while True:
        counted.append(len(counted) + 1)
        print(token, counted[-1], file=out)
        time.sleep(0.05)
`;

export class PythonCounter {
  readonly name = "counter";
  readonly #stasis: Stasis;
  readonly #program: string;
  readonly #file: string;

  constructor(stasis: Stasis, folder: string) {
    this.#stasis = stasis;
    this.#program = `${folder}/counter.py`;
    this.#file = `${folder}/counted`;
  }

  async start(): Promise<void> {
    await Deno.writeTextFile(this.#program, PROGRAM);
    await Deno.writeTextFile(this.#file, "");
    await this.#stasis.show(["run", "-d", "--name", this.name, "--", "python3", this.#program, this.#file]);
  }

  async look(): Promise<CounterState> {
    const lines = (await Deno.readTextFile(this.#file)).split("\n").filter((line) => line !== "");
    const [token = ""] = lines[0]?.split(" ") ?? [];
    const gaps = lines.filter((line, index) => line !== `${token} ${index + 1}`).length;
    return { token, value: lines.length, gaps };
  }

  /** Waits until it has counted that far. */
  async reaches(value: number): Promise<CounterState> {
    const deadline = performance.now() + 20_000;
    while (performance.now() < deadline) {
      const state = await this.look();
      if (state.value >= value) return state;
      await delay(50);
    }
    throw new Error(`Could not see the Python program count to ${value} within 20 s`);
  }
}
