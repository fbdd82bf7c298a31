/** The signals that end a command, or that an attached command hands on to its application. */
export const INTERRUPTING = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

export type Interrupting = typeof INTERRUPTING[number];
type Handler = (signal: Interrupting) => void;

/** The exit code of a command that was interrupted. */
const INTERRUPTED = 130;

/**
 * Who hears a signal: the handler that was taken last. Without one the command ends at once. Listeners stand
 * before the first operation begins and until the command exits, so that no signal ever kills it in the middle of
 * an operation.
 */
export class Interrupts {
  readonly #handlers: Handler[] = [];

  install(): void {
    for (const signal of INTERRUPTING) Deno.addSignalListener(signal, () => this.deliver(signal));
  }

  deliver(signal: Interrupting): void {
    const handler = this.#handlers.at(-1);
    if (handler === undefined) Deno.exit(INTERRUPTED);
    handler(signal);
  }

  /** Lets whoever listened before hear a signal that came too late for the one who heard it. */
  passOn(signal: Interrupting): void {
    this.#handlers.at(-1)?.(signal);
  }

  /** Hears signals until the answer is disposed of. */
  take(handler: Handler): Disposable {
    this.#handlers.push(handler);
    return {
      [Symbol.dispose]: () => {
        const index = this.#handlers.lastIndexOf(handler);
        if (index >= 0) this.#handlers.splice(index, 1);
      },
    };
  }
}
