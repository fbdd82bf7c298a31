import { resolve } from "node:path";
import type { Engine, Job } from "../ffi/client.ts";
import { StasisError } from "../ffi/error.ts";
import type { Application, Home, Operation, Request, Response } from "../ffi/messages.ts";
import { byRelevance, resolveApplication } from "./catalog/applications.ts";
import { isFolder, storeOf } from "./catalog/home.ts";
import { catalogue, parseReference, pick, type Reference, type Snapshot } from "./catalog/snapshots.ts";
import { listChains } from "./chains/records.ts";
import { settleStagings } from "./chains/staging.ts";
import type { Interrupting, Interrupts } from "./interrupts.ts";
import type { Output, OutputOptions } from "./ui/output.ts";
import { withProgress } from "./ui/progress.ts";

/** The process that runs the command, as applications are started from it. */
export interface Caller {
  cwd: string;
  env: Record<string, string>;
  /** Whether stdin and stdout both are a terminal. */
  terminal: boolean;
}

/** Makes the session of a command once its options are known. */
export type Open = (options: OutputOptions) => Session;

/** What one command works with: the engine, its home, the person or program that called it. */
export class Session {
  exitCode = 0;

  constructor(
    readonly engine: Engine,
    readonly home: Home,
    readonly output: Output,
    readonly interrupts: Interrupts,
    readonly caller: Caller,
  ) {}

  /**
   * Runs an operation to its end, with progress. A signal cancels it; the end is awaited all the same. `during` leads it through its
   * gates, and cancels it by throwing.
   */
  async perform<Op extends Operation>(
    operation: Op,
    request: Request<Op>,
    during?: (job: Job<Response<Op>>) => Promise<void>,
  ): Promise<Response<Op>> {
    const job = this.engine.start(operation, request);
    let heard: Interrupting | undefined;
    const listening = this.interrupts.take((signal) => {
      heard = signal;
      job.cancel();
    });
    try {
      const [led, done] = await Promise.allSettled([lead(job, during), withProgress(job, this.output)]);
      if (led.status === "rejected") throw led.reason;
      if (done.status === "rejected") throw done.reason;
      return done.value;
    } finally {
      listening[Symbol.dispose]();
      // The operation may have come to its end all the same, and the command may have more to do.
      if (heard !== undefined) this.interrupts.passOn(heard);
    }
  }

  /** The applications of this user: running ones first, newer ones before older ones. */
  async applications(): Promise<Application[]> {
    return (await this.perform("ps", {})).apps.toSorted(byRelevance);
  }

  /** The names that a new application cannot have. */
  async namesInUse(): Promise<Set<string>> {
    return new Set((await this.perform("names", {})).names);
  }

  /** The application that the user means by a name, an AID or the beginning of one. */
  async application(given: string): Promise<Application> {
    return resolveApplication(await this.applications(), given);
  }

  /** The snapshots of the store, newest first. */
  async snapshots(): Promise<Snapshot[]> {
    const folder = storeOf(this.home);
    if (!isFolder(folder)) return [];
    settleStagings(this.home);
    return catalogue((await this.perform("list", { folder })).snapshots, listChains(this.home));
  }

  /** The folder of the snapshot that the user means by an id, `APP@latest` or a path. */
  async snapshotFolder(given: string): Promise<string> {
    const reference = parseReference(given);
    if (!("folder" in reference)) return this.#picked(await this.snapshots(), reference).dir;
    const folder = this.absolute(reference.folder);
    if (isFolder(folder)) return folder;
    throw StasisError.of("no_target", `Could not find a snapshot in "${given}"`, {
      causes: [`there is no folder ${folder}`],
    });
  }

  #picked(snapshots: readonly Snapshot[], reference: Exclude<Reference, { folder: string }>): Snapshot {
    const damaged = snapshots.filter((one) => one.damaged !== undefined).map((one) => one.id);
    if (!("id" in reference) && damaged.length > 0) {
      this.output.talk(`Passing over what cannot be read: ${damaged.join(", ")}`);
    }
    return pick(snapshots, reference);
  }

  /** A path that the user gave, as seen from anywhere. */
  absolute(path: string): string {
    return resolve(this.caller.cwd, path);
  }
}

async function lead<T>(job: Job<T>, during?: (job: Job<T>) => Promise<void>): Promise<void> {
  try {
    await during?.(job);
  } catch (error) {
    job.cancel();
    throw error;
  }
}
