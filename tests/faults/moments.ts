/** Moments at which a command is killed: spread over the time that it takes. */

import { setTimeout as delay } from "node:timers/promises";

export class Moments {
  #round = 0;

  private constructor(private duration: number, private readonly span: readonly [number, number]) {}

  /** Takes the time of a whole run. Moments lie between two parts of it, of which 0 is its start and 1 its end. */
  static async of(whole: () => Promise<unknown>, from = 0, to = 1): Promise<Moments> {
    const begun = performance.now();
    await whole();
    return new Moments(performance.now() - begun, [from, to - from]);
  }

  /**
   * Kills the command at the next moment; true when it came in time. How long a command takes depends on what else the
   * machine does, so one that was faster says it anew.
   */
  async kill(command: Deno.ChildProcess): Promise<boolean> {
    const begun = performance.now();
    const ended = command.status.then(({ signal }) => ({ signal, after: performance.now() - begun }));
    const [from, width] = this.span;
    await delay(this.duration * (from + width * ((this.#round++ * 0.618034) % 1)));
    try {
      command.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    const { signal, after } = await ended;
    if (signal === "SIGKILL") return true;
    this.duration = Math.min(this.duration, after);
    return false;
  }
}
