/**
 * A host whose System V objects can be told one by one: an IPC namespace of its own, with somebody in it who takes the
 * ids and keys that a test wants taken (tests/subjects/ids/neighbour.c). The product runs in it as on any host.
 */

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { must, Stage, until } from "./stage.ts";

export const ID_SUBJECTS: string = fileURLToPath(new URL("../../subjects/ids", import.meta.url));

export const KINDS = ["sem", "shm", "msg"] as const;

/** What `stasis ids` calls them. */
export const TYPES = { sem: "semaphores", shm: "shared-memory", msg: "message-queue" } as const;
export type Kind = typeof KINDS[number];

export interface SystemObject {
  kind: Kind;
  id: number;
  /** 0 when it has none (IPC_PRIVATE). */
  key: number;
}

export class IpcHost implements AsyncDisposable {
  readonly #answers: ReadableStreamDefaultReader<string>;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #taken = new Set<string>();
  #text = "";

  private constructor(readonly stage: Stage, readonly neighbour: Deno.ChildProcess) {
    this.#answers = neighbour.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#orders = neighbour.stdin.getWriter();
  }

  /** Opens a stage on such a host. With `mounts`, what is mounted there is seen there alone. */
  static async open({ mounts = false } = {}): Promise<IpcHost> {
    await using opened = new AsyncDisposableStack();
    const stage = opened.use(await Stage.open());
    const program = `${stage.folder}/neighbour`;
    await must(["cc", "-O1", "-Wall", "-o", program, `${ID_SUBJECTS}/neighbour.c`]);
    const user = Deno.uid() === 0 ? [] : ["--user", "--map-current-user", "--keep-caps"];
    const [unshare = "", ...args] = ["unshare", "--ipc", ...(mounts ? ["--mount"] : []), ...user, program];
    const neighbour = new Deno.Command(unshare, { args, stdin: "piped", stdout: "piped" }).spawn();
    const host = opened.adopt(new IpcHost(stage, neighbour), (failed) => failed.#end());
    strictEqual(await host.#line(), "ready");
    const enter = [`--target=${neighbour.pid}`, "--ipc", ...(mounts ? ["--mount"] : [])];
    stage.within = [
      "nsenter",
      ...enter,
      ...(Deno.uid() === 0 ? [] : ["--user", "--preserve-credentials"]),
      "--",
    ];
    opened.move();
    return host;
  }

  /** The applications go first: they need the namespace to be ended in. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
    await this.#end();
  }

  async #end(): Promise<void> {
    await this.#orders.close().catch(() => {});
    await this.#answers.cancel();
    await this.neighbour.status;
  }

  /** Runs a command on the host that must succeed. */
  must(...argv: string[]): Promise<string> {
    return must([...this.stage.within, ...argv]);
  }

  /** Has the neighbour create an object with that id, and with that key unless it is taken. */
  async take({ kind, id, key }: SystemObject): Promise<SystemObject> {
    await this.#say(`take ${kind} ${id} ${key}`);
    const [, , took, under] = (await this.#line()).split(" ");
    this.#taken.add(`is ${kind} ${took} ${under}`);
    return { kind, id: Number(took), key: Number(under) };
  }

  /** All System V objects of the host, in order. */
  async objects(): Promise<string[]> {
    await this.#say("list");
    const found: string[] = [];
    for (let line = await this.#line(); line !== "end"; line = await this.#line()) found.push(line);
    return found.sort();
  }

  /** Those of them that the neighbour was told to take. */
  async strangers(): Promise<string[]> {
    return (await this.objects()).filter((line) => this.#taken.has(line));
  }

  /** Waits until the host has these objects and no other; how many seconds at most. */
  async comesBackTo(before: readonly string[], seconds = 5): Promise<void> {
    let last: string[] = [];
    await until("the host's objects as they were", async () => {
      last = await this.objects();
      return last.join() === before.join() || undefined;
    }, seconds).catch(() => deepStrictEqual(last, before));
  }

  async #say(order: string): Promise<void> {
    await this.#orders.write(new TextEncoder().encode(`${order}\n`));
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#answers.read();
      if (done) throw new Error("The neighbour has ended");
      this.#text += value;
    }
  }
}
