/** How two hosts write to each other: frames of a kind, a length and a body, over the pipes of a remote shell. */

import { StasisError } from "../../ffi/error.ts";

/** What travels: a value as JSON, or bytes as they are. */
export type Frame = { value: unknown } | { bytes: Uint8Array };

/** The first bytes of either side, so that what a login script prints is not taken for frames. */
const MAGIC = new TextEncoder().encode("stasis1\n");
const HEADER = 5;
const VALUE = 0x4a;
const BYTES = 0x42;
/** Limits of one frame, in bytes. */
const MOST_VALUE = 4 << 20;
const MOST_BYTES = 1 << 20;

export class FrameWriter {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #begun = false;

  constructor(stream: WritableStream<Uint8Array>) {
    this.#writer = stream.getWriter();
  }

  async value(value: unknown): Promise<void> {
    const body = new TextEncoder().encode(JSON.stringify(value));
    if (body.length > MOST_VALUE) throw unreadable("a message is larger than 4 MiB");
    await this.#frame(VALUE, body);
  }

  async bytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MOST_BYTES) {
      await this.#frame(BYTES, bytes.subarray(at, at + MOST_BYTES));
    }
  }

  /** Nothing more follows. */
  async close(): Promise<void> {
    await this.#writer.close();
  }

  /** Frames of two callers do not mix: what is queued is written in order. */
  async #frame(kind: number, body: Uint8Array): Promise<void> {
    const lead = this.#begun ? 0 : MAGIC.length;
    const frame = new Uint8Array(lead + HEADER + body.length);
    if (!this.#begun) frame.set(MAGIC);
    this.#begun = true;
    frame[lead] = kind;
    new DataView(frame.buffer).setUint32(lead + 1, body.length);
    frame.set(body, lead + HEADER);
    await this.#writer.write(frame);
  }
}

export class FrameReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #pending = new Uint8Array(0);
  #begun = false;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next frame; undefined when the other side has closed between two frames. */
  async next(): Promise<Frame | undefined> {
    if (!this.#begun) {
      if (!await this.#fill(MAGIC.length)) return this.#ended();
      const lead = this.#take(MAGIC.length);
      if (lead.some((byte, index) => byte !== MAGIC[index])) throw unreadable(await this.#noise(lead));
      this.#begun = true;
    }
    if (!await this.#fill(HEADER)) return this.#ended();
    const header = this.#take(HEADER);
    const length = new DataView(header.buffer, header.byteOffset).getUint32(1);
    const [kind] = header;
    if (kind !== VALUE && kind !== BYTES) throw unreadable("it sent a frame of an unknown kind");
    if (length > (kind === VALUE ? MOST_VALUE : MOST_BYTES)) {
      throw unreadable("it sent a frame that is too long");
    }
    if (!await this.#fill(length)) throw unreadable("it stopped in the middle of a message");
    const body = this.#take(length);
    return kind === BYTES ? { bytes: body } : { value: parse(body) };
  }

  #ended(): undefined {
    if (this.#pending.length === 0) return undefined;
    throw unreadable("it stopped in the middle of a message");
  }

  /** Reads until so many bytes are there; false when the stream ends before. */
  async #fill(length: number): Promise<boolean> {
    const parts: Uint8Array[] = [this.#pending];
    let there = this.#pending.length;
    while (there < length) {
      const { value, done } = await this.#reader.read();
      if (done) break;
      parts.push(value);
      there += value.length;
    }
    if (parts.length > 1) this.#pending = join(parts, there);
    return there >= length;
  }

  #take(length: number): Uint8Array {
    const taken = this.#pending.slice(0, length);
    this.#pending = this.#pending.subarray(length);
    return taken;
  }

  /** The beginning of what was there instead of frames. */
  async #noise(lead: Uint8Array): Promise<string> {
    await this.#fill(160);
    const text = new TextDecoder().decode(join([lead, this.#pending], lead.length + this.#pending.length));
    return `it does not speak as stasis does: ${JSON.stringify(text.split("\n")[0]?.slice(0, 120))}`;
  }
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    throw unreadable("it sent a message that is no JSON");
  }
}

function unreadable(cause: string): StasisError {
  return StasisError.of("other", "Could not understand the other host", { causes: [cause] });
}
