const CHUNK_BYTES = 64 * 1024;

/** Reads a growing file from its beginning, as far as it has been written. */
export class LogReader implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #chunk = new Uint8Array(CHUNK_BYTES);

  /** @throws {Deno.errors.NotFound} when there is no such file */
  constructor(path: string) {
    this.#file = Deno.openSync(path);
  }

  /** Hands on everything that was appended since the last time. */
  drain(consume: (bytes: Uint8Array) => void): void {
    for (;;) {
      const length = this.#file.readSync(this.#chunk);
      if (length === null || length === 0) return;
      consume(this.#chunk.subarray(0, length));
    }
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
