import { deepStrictEqual, rejects } from "node:assert/strict";
import type { Talk } from "../remote/talk.ts";
import { Discarded, Line } from "./line.ts";

/** Two ends of a connection without a network between. */
class Ends {
  readonly #gone = new AbortController();

  /** What one end says the other one hears. */
  pair(): [Talk, Talk] {
    const one: unknown[] = [];
    const other: unknown[] = [];
    return [this.#end(one, other), this.#end(other, one)];
  }

  cut(): void {
    this.#gone.abort(new Error("gone"));
  }

  #end(to: unknown[], from: unknown[]): Talk {
    return {
      say: (value) => Promise.resolve(void to.push(value)),
      send: () => Promise.resolve(),
      hear: async () => {
        while (from.length === 0) {
          if (this.#gone.signal.aborted) throw this.#gone.signal.reason;
          await new Promise((wake) => setTimeout(wake, 1));
        }
        return { value: from.shift() };
      },
      gone: this.#gone.signal,
    };
  }
}

Deno.test("either side hears where the other stands, and what it opens", async () => {
  const ends = new Ends();
  const [here, there] = ends.pair();
  using mine = new Line(here, 30_000);
  using theirs = new Line(there, 30_000);
  await theirs.say({ members: ["web"] });
  await theirs.say({ at: 2 });
  deepStrictEqual(await mine.members(), ["web"]);
  await mine.at(1);
  await mine.at(2);
  await mine.say({ open: 2 });
  await theirs.opened(2);
  await mine.say({ discard: true });
  await rejects(theirs.opened(3), Discarded);
  ends.cut();
  await rejects(mine.failure(), /gone/);
});

Deno.test("a side that says nothing for too long is given up on", async () => {
  const ends = new Ends();
  const [here] = ends.pair();
  using mine = new Line(here, 20);
  await rejects(mine.at(1), /Could not wait for the other host any longer/);
  ends.cut();
});
