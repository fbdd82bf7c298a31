import { StasisError } from "../../ffi/error.ts";
import { type Colors, createColors } from "./colors.ts";

/** What the options of every command say about output. */
export interface OutputOptions {
  json?: boolean | undefined;
  quiet?: boolean | undefined;
}

/** One of the standard streams; tests put a buffer in its place. */
export interface Stream {
  readonly terminal: boolean;
  /** Columns of the terminal; undefined when there is none. */
  columns(): number | undefined;
  write(data: string | Uint8Array): void;
}

/** stdout is data and stderr is talk: what goes where, in which form, is decided here and nowhere else. */
export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  /** Colours for talk. */
  readonly colors: Colors;
  /** Colours for data. */
  readonly dataColors: Colors;

  constructor(readonly stdout: Stream, readonly stderr: Stream, options: OutputOptions, noColor: boolean) {
    this.json = options.json === true;
    this.quiet = options.quiet === true;
    this.colors = createColors(stderr.terminal && !noColor);
    this.dataColors = createColors(stdout.terminal && !noColor);
  }

  /** One line of data. */
  line(text: string): void {
    this.stdout.write(`${text}\n`);
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text);
  }

  /** The answer of a command under `--json`: one line, so that several can follow each other. */
  object(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** A remark for the person at the terminal; nobody hears it under `--quiet` or `--json`. */
  talk(text: string): void {
    if (!this.quiet && !this.json) this.stderr.write(`${text}\n`);
  }

  /** Whether progress may be drawn: for a person who looks at a terminal and wants to be talked to. */
  get animated(): boolean {
    return this.stderr.terminal && !this.quiet && !this.json;
  }
}

/** The no-color.org convention, and terminals that cannot. */
export function wantsNoColor(env: (name: string) => string | undefined): boolean {
  return (env("NO_COLOR") ?? "") !== "" || env("TERM") === "dumb";
}

export const STDOUT: Stream = standardStream(Deno.stdout);
export const STDERR: Stream = standardStream(Deno.stderr);

function standardStream(stream: typeof Deno.stdout | typeof Deno.stderr): Stream {
  return {
    terminal: stream.isTerminal(),
    columns: () => stream.isTerminal() ? Deno.consoleSize().columns || undefined : undefined,
    write: (data) => write(stream, typeof data === "string" ? new TextEncoder().encode(data) : data),
  };
}

/** A pipe that nobody reads any more is no error of ours, and main.ts ends quietly. */
function write(stream: typeof Deno.stdout | typeof Deno.stderr, bytes: Uint8Array): void {
  try {
    writeAll(stream, bytes);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) throw error;
    const name = stream === Deno.stdout ? "standard output" : "standard error";
    throw StasisError.of("other", `Could not write to ${name}`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** A write to a pipe may take only a part. */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += stream.writeSync(bytes.subarray(written));
}
