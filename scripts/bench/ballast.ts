/**
 * A program with a given amount of incompressible memory that notices when it stands still: it looks at the clock all
 * the time, and keeps the longest gap since it was last asked.
 */

import { setTimeout as delay } from "node:timers/promises";

const PROGRAM = `
import os, sys, time
size, answers = int(sys.argv[1]), sys.argv[2]
ballast = bytearray(size)
for start in range(0, size, 1 << 20):
    ballast[start:start + (1 << 20)] = os.urandom(min(1 << 20, size - start))
longest, last, asked = 0, time.monotonic_ns(), 0
def answer(path, text):
    with open(path + ".new", "w") as out:
        out.write(text)
    os.rename(path + ".new", path)
answer(answers, "0 0 %d" % os.getpid())
while True:
    time.sleep(0.0003)
    now = time.monotonic_ns()
    longest, last = max(longest, now - last), now
    if os.path.exists(answers + ".ask"):
        os.unlink(answers + ".ask")
        asked += 1
        answer(answers, "%d %d %d" % (asked, longest, os.getpid()))
        longest, last = 0, time.monotonic_ns()
`;

export class Ballast {
  readonly argv: string[];
  readonly #answers: string;
  #asked = 0;

  private constructor(argv: string[], answers: string) {
    this.argv = argv;
    this.#answers = answers;
  }

  /** Writes the program; whoever wants it runs `argv`. `size` in bytes. */
  static async prepare(folder: string, size: number): Promise<Ballast> {
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(`${folder}/ballast.py`, PROGRAM);
    const answers = `${folder}/answer`;
    return new Ballast(["python3", `${folder}/ballast.py`, String(size), answers], answers);
  }

  /** Waits until its memory is filled. Returns its pid as it sees it itself. */
  async ready(): Promise<number> {
    return (await this.#answered(0)).pid;
  }

  /** The longest time in milliseconds that it stood still since it was last asked. */
  async longestGap(): Promise<number> {
    await Deno.writeTextFile(`${this.#answers}.ask`, "");
    this.#asked += 1;
    return (await this.#answered(this.#asked)).nanoseconds / 1e6;
  }

  async #answered(number: number): Promise<{ nanoseconds: number; pid: number }> {
    const deadline = performance.now() + 60_000;
    while (performance.now() < deadline) {
      const text = await Deno.readTextFile(this.#answers).catch(() => "");
      const [asked, nanoseconds, pid] = text.split(" ").map(Number);
      if (asked === number) return { nanoseconds: nanoseconds ?? 0, pid: pid ?? 0 };
      await delay(2);
    }
    throw new Error("Could not get an answer from the measured program within 60 s");
  }
}
