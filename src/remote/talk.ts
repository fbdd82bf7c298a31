/** One end of a conversation while a question is being answered. */

import { StasisError } from "../../ffi/error.ts";
import type { Frame, FrameWriter } from "./frames.ts";

/** How many frames wait for whoever hears them before the other side has to wait. */
const MOST_WAITING = 8;

/** What both sides have in hand from a question to its answer. */
export interface Talk {
  /** Tells the other side a value, beside the answer. */
  say(value: unknown): Promise<void>;
  /** Sends bytes, such as a part of an archive. */
  send(bytes: Uint8Array): Promise<void>;
  /** What the other side says or sends next. Throws when it is gone. */
  hear(): Promise<Frame>;
  /** Aborted when the other side is gone. */
  readonly gone: AbortSignal;
}

/** Frames that have arrived, for one who hears them one by one. */
export class Inbox {
  readonly #waiting: Frame[] = [];
  readonly #gone = new AbortController();
  #wake: () => void = () => {};

  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** Puts a frame in; waits while there are many already. */
  async put(frame: Frame): Promise<void> {
    while (this.#waiting.length >= MOST_WAITING && !this.gone.aborted) await this.#change();
    this.#waiting.push(frame);
    this.#changed();
  }

  /** Nothing more comes: `why` is what whoever hears is told, after what is there already. */
  end(why: StasisError): void {
    this.#gone.abort(why);
    this.#changed();
  }

  async take(): Promise<Frame> {
    for (;;) {
      const frame = this.#waiting.shift();
      if (frame !== undefined) {
        this.#changed();
        return frame;
      }
      if (this.gone.aborted) throw this.gone.reason;
      await this.#change();
    }
  }

  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#wake;
    this.#wake = () => {
      before();
      resolve();
    };
    return promise;
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = () => {};
    wake();
  }
}

export function talkOver(writer: FrameWriter, inbox: Inbox): Talk {
  return {
    say: (value) => writer.value({ say: value }),
    send: (bytes) => writer.bytes(bytes),
    hear: () => inbox.take(),
    gone: inbox.gone,
  };
}

export function gone(who: string, causes: string[] = []): StasisError {
  return StasisError.of("other", `Lost the connection with ${who}`, { causes });
}
