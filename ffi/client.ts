import { type Fault, StasisError } from "./error.ts";
import { loadLibrary } from "./library.ts";
import type { Home, Operation, Request, Response } from "./messages.ts";
import type { Native } from "./symbols.ts";

/** How far an operation has come. `total` is 0 when it is not known. */
export interface Progress {
  phase: number;
  done: number;
  total: number;
  unit: "none" | "bytes" | "processes" | "applications";
}

/** One operation under way. */
export interface Job<T> {
  /** Settles when the operation has ended, with its answer or with a StasisError. */
  readonly done: Promise<T>;
  progress(): Progress;
  /** Asks the operation to stop at its next safe point; `done` then rejects with code `interrupted`. */
  cancel(): void;
  /** Waits until the operation stands before that gate; false when it has ended instead. */
  reached(gate: number): Promise<boolean>;
  /** Lets the operation pass all gates up to that one. */
  open(gate: number): void;
}

/** What commands need of the engine; tests put another one in its place. */
export interface Engine {
  start<Op extends Operation>(operation: Op, request: Request<Op>): Job<Response<Op>>;
  version(): string;
}

/** The engine behind the loaded library. The library is loaded at the first use: `--help` needs none. */
export class Client implements Engine {
  #native: Native | undefined;

  constructor(readonly home: Home) {}

  start<Op extends Operation>(operation: Op, request: Request<Op>): Job<Response<Op>> {
    const text = JSON.stringify({ op: operation, home: this.home, ...request });
    const bytes = new TextEncoder().encode(text);
    const native = this.#library();
    // Copied on the native side before the call returns, so the buffer need not outlive it.
    const id = native.stasis_submit(bytes, BigInt(bytes.length));
    if (id === 0n) {
      throw StasisError.of("internal", `Could not start the operation "${operation}"`, {
        causes: ["the system refused one more thread"],
      });
    }
    return {
      done: finish<Response<Op>>(native, id),
      progress: () => readProgress(native, id),
      cancel: () => void native.stasis_cancel(id),
      reached: (gate) => awaitGate(native, id, gate),
      open: (gate) => void native.stasis_open_gate(id, gate),
    };
  }

  version(): string {
    const text = this.#library().stasis_version();
    return text === null ? "" : Deno.UnsafePointerView.getCString(text);
  }

  #library(): Native {
    return this.#native ??= loadLibrary();
  }
}

const WAIT_MS = 60_000;
const UNITS = ["none", "bytes", "processes", "applications"] as const;

async function finish<T>(native: Native, job: bigint): Promise<T> {
  while (await native.stasis_wait(job, WAIT_MS) === 0);
  return decode<T>(take(native, job));
}

async function awaitGate(native: Native, job: bigint, gate: number): Promise<boolean> {
  const REACHED = 1;
  let found = 0;
  while (found === 0) found = await native.stasis_await_gate(job, gate, WAIT_MS);
  // The job is forgotten once its answer has been taken.
  return found === REACHED;
}

/** Asks for the length first; the answer is forgotten over there once it has been copied. */
function take(native: Native, job: bigint): string {
  const length = Number(native.stasis_take(job, null, 0n));
  const bytes = new Uint8Array(Math.max(length, 1));
  const copied = Number(native.stasis_take(job, bytes, BigInt(bytes.length)));
  if (length < 0 || copied !== length) {
    throw StasisError.of("internal", "Could not take an operation's answer from the engine");
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

/** The answer's shape is the engine's word: both sides are of one build. */
function decode<T>(text: string): T {
  const response: { ok: T } | { error: Fault } = JSON.parse(text);
  if ("error" in response) throw new StasisError(response.error);
  return response.ok;
}

function readProgress(native: Native, job: bigint): Progress {
  const counters = new BigUint64Array(4);
  native.stasis_progress(job, counters);
  const [phase, done, total, unit] = Array.from(counters, Number) as [number, number, number, number];
  return { phase, done, total, unit: UNITS[unit] ?? "none" };
}
