/** A program that answers each line that it is sent with a line of JSON. */

export class Dialogue implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #name: string;
  #rest = "";

  constructor(argv: readonly string[], env: Record<string, string>) {
    const [program = "", ...args] = argv;
    const options = { args, env, clearEnv: true, stdin: "piped", stdout: "piped" } as const;
    this.#name = argv.join(" ");
    this.#child = new Deno.Command(program, options).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line that it writes. */
  async line(): Promise<string> {
    for (;;) {
      const [line, rest] = split(this.#rest);
      this.#rest = rest;
      if (line !== undefined) return line;
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`Could not hear more from ${this.#name}: it has ended`);
      this.#rest += value;
    }
  }

  /** Sends a line, and returns the answer. */
  async ask<T>(question: string): Promise<T> {
    await this.#writer.write(new TextEncoder().encode(`${question}\n`));
    return JSON.parse(await this.line());
  }

  /** Closes its input, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#reader.cancel();
    await this.#child.status;
  }
}

function split(text: string): [string | undefined, string] {
  const end = text.indexOf("\n");
  return end < 0 ? [undefined, text] : [text.slice(0, end), text.slice(end + 1)];
}
