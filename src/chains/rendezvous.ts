/** Where the parts of a chain, one on each host, wait for each other. */

export class Rendezvous {
  readonly #gates = new Map<number, Gate>();
  #failure: { error: unknown } | undefined;

  /** What keeps everybody from going on. */
  get failure(): { error: unknown } | undefined {
    return this.#failure;
  }

  /** `at` is done at a gate when all parts stand there, before any goes on. */
  constructor(public parts: number, readonly at: (gate: number) => Promise<void> | void = () => {}) {}

  /** Waits until all parts have come to the gate. Throws when one of them failed. */
  async meet(gate: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.error;
    const meeting = this.#gate(gate);
    meeting.come++;
    this.#look(gate, meeting);
    await meeting.open.promise;
  }

  /** One part has nothing to do, and is not waited for. */
  withdraw(): void {
    this.parts--;
    for (const [gate, meeting] of this.#gates) this.#look(gate, meeting);
  }

  /** Nobody goes on: the first error is everybody's. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { open } of this.#gates.values()) open.reject(this.#failure.error);
  }

  #look(gate: number, meeting: Gate): void {
    if (meeting.come < this.parts || meeting.whole) return;
    meeting.whole = true;
    this.#pass(gate, meeting);
  }

  async #pass(gate: number, meeting: Gate): Promise<void> {
    try {
      await this.at(gate);
      meeting.open.resolve();
    } catch (error) {
      this.fail(error);
    }
  }

  #gate(gate: number): Gate {
    const found = this.#gates.get(gate);
    if (found !== undefined) return found;
    const open = Promise.withResolvers<void>();
    // Whoever waits hears of it; there may be nobody.
    open.promise.catch(() => {});
    const made = { come: 0, whole: false, open };
    this.#gates.set(gate, made);
    return made;
  }
}

interface Gate {
  come: number;
  whole: boolean;
  open: PromiseWithResolvers<void>;
}
