/**
 * What two hosts say to each other while a chain is taken or brought back: who stands before which gate, and which are open. Each
 * side lets the other hear of it every second; a silent one is as good as gone.
 */

import { StasisError } from "../../ffi/error.ts";
import type { Talk } from "../remote/talk.ts";

const PULSE_MS = 1000;
/** Nobody is given up on earlier than this, in ms. */
const SHORTEST_SILENCE = 3000;

/** How long the other side may say nothing where applications wait for each other so long, both in ms. */
export function silenceFor(patience: number): number {
  return Math.max(patience, SHORTEST_SILENCE);
}

/** The words of either side. */
type Word = { at: number } | { open: number } | { members: unknown } | { discard: true } | { pulse: true };

export class Line implements Disposable {
  readonly #pulse: ReturnType<typeof setInterval>;
  readonly #waiting = new Set<() => void>();
  #said: { at: number; open: number; members?: unknown } = { at: 0, open: 0 };
  #failure: { error: unknown } | undefined;
  #closed = false;

  /** `silence`: how long the other side may say nothing, in ms. */
  constructor(readonly talk: Talk, readonly silence: number) {
    this.#pulse = setInterval(() => void this.say({ pulse: true }).catch(() => {}), PULSE_MS);
    this.#listen();
  }

  async say(word: Word): Promise<void> {
    await this.talk.say(word);
  }

  /** Waits until the other side stands before that gate. */
  async at(gate: number): Promise<void> {
    await this.#until(() => this.#said.at >= gate || undefined);
  }

  /** Waits until the other side opens that gate. Throws `Discarded` where it gives up instead. */
  async opened(gate: number): Promise<void> {
    await this.#until(() => this.#said.open >= gate || undefined);
  }

  /** What the other side says about who is concerned there. */
  async members(): Promise<unknown> {
    return await this.#until(() => this.#said.members);
  }

  /** Settles, by throwing, when the other side fails or is gone. */
  async failure(): Promise<never> {
    return await this.#until<never>(() => undefined);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearInterval(this.#pulse);
  }

  async #until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#failure !== undefined) throw this.#failure.error;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
    }
  }

  async #listen(): Promise<void> {
    try {
      while (!this.#closed) this.#heard(await this.#next());
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#changed();
  }

  async #next(): Promise<unknown> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(silent(this.silence)), this.silence);
    try {
      const frame = await Promise.race([this.talk.hear(), promise]);
      return "value" in frame ? frame.value : undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  #heard(word: unknown): void {
    if (typeof word !== "object" || word === null) return;
    const { at, open, members, discard } = word as Record<string, unknown>;
    if (typeof at === "number") this.#said.at = Math.max(this.#said.at, at);
    if (typeof open === "number") this.#said.open = Math.max(this.#said.open, open);
    if (members !== undefined) this.#said.members = members;
    if (discard === true) this.#failure ??= { error: new Discarded() };
    this.#changed();
  }

  #changed(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** The other side has given up, and means it. */
export class Discarded extends StasisError {
  constructor() {
    super(
      StasisError.of("other", "Could not finish", { causes: ["another host of the chain could not"] }).fault,
    );
  }
}

function silent(limit: number): StasisError {
  return StasisError.of("other", "Could not wait for the other host any longer", {
    causes: [`nothing was heard of it for ${limit / 1000} s`],
  });
}
