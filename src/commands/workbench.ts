/** A workbench for tests of commands: an engine that answers from a table, and a caller that remembers. */

import { CommanderError } from "@commander-js/extra-typings";
import type { Engine, Job } from "../../ffi/client.ts";
import { strictEqual } from "node:assert/strict";
import type { Fault } from "../../ffi/error.ts";
import type { Application, MemberRecord, Operation } from "../../ffi/messages.ts";
import { Interrupts } from "../interrupts.ts";
import { buildProgram } from "../program.ts";
import { type Caller, Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Output } from "../ui/output.ts";
import { usageFault } from "../usage.ts";

/** What the engine says to each operation: a value, an error, or what a function makes of the request. */
export type Answers = Partial<Record<Operation, unknown>>;
type Asked = { op: Operation; request: unknown };

export const WEB: Application = {
  network: "host",
  aid: "aa0000000000",
  name: "web",
  state: "running",
  started: "2026-01-01T00:00:00Z",
  command: ["nginx", "-g", "daemon off;"],
};

/** An engine that answers from a table, and remembers what it was asked. */
export class FakeEngine implements Engine {
  readonly asked: Asked[] = [];

  constructor(readonly answers: Answers) {}

  /** As the engine has it: those that run. Asked anew each time, as a test may add some. */
  #names(): { names: string[] } {
    const given = this.answers.ps;
    const { apps } = (typeof given === "function" ? given({}) : given) as { apps: Application[] };
    return { names: apps.filter((one) => one.state === "running").map((one) => one.name) };
  }

  /** The members of an environment, likewise. */
  #members(id: string): { members: MemberRecord[] } {
    const given = this.answers.ps;
    const { apps } = (typeof given === "function" ? given({}) : given) as { apps: Application[] };
    const members = apps.map(({ aid, name, state, started, network }) => {
      const links = network === "host" ? [] : network.own.links ?? [];
      const addresses = links.filter(({ environment }) => environment.id === id).flatMap((one) =>
        one.addresses
      );
      return { aid, name, running: state === "running", started, addresses };
    });
    return { members: members.filter(({ addresses }) => addresses.length > 0) };
  }

  #unasked(op: Operation, request: unknown): unknown {
    if (op === "names") return this.#names();
    return op === "members" ? this.#members((request as { environment: string }).environment) : undefined;
  }

  start<T>(op: Operation, request: unknown): Job<T> {
    this.asked.push({ op, request });
    const given = this.answers[op] ?? this.#unasked(op, request);
    const answer = typeof given === "function" ? given(request) : given;
    const done = answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T);
    return {
      done,
      progress: () => ({ phase: 0, done: 0, total: 0, unit: "none" }),
      cancel: () => {},
      reached: () => Promise.resolve(!(answer instanceof Error)),
      open: () => {},
    };
  }

  version(): string {
    return "1.2.3";
  }

  /** The request of the only operation of this kind. */
  request(op: Operation): unknown {
    const [only, ...more] = this.asked.filter((asked) => asked.op === op);
    strictEqual(more.length, 0);
    return only?.request;
  }
}

export interface Outcome {
  engine: FakeEngine;
  exit: number;
  stdout: string;
  stderr: string;
  fault?: Fault;
}

/** Runs one command line against the table of answers, in a home of its own where none is given. */
export async function stasis(
  args: string[],
  answers: Answers = {},
  caller: Partial<Caller> = {},
  home?: string,
): Promise<Outcome> {
  const engine = new FakeEngine({ ps: { apps: [WEB] }, loaded: { templates: [] }, ...answers });
  const data = home ?? Deno.makeTempDirSync();
  const texts = { stdout: "", stderr: "" };
  const decoder = new TextDecoder();
  const stream = (name: "stdout" | "stderr") => ({
    terminal: false,
    columns: () => undefined,
    write: (bytes: string | Uint8Array) =>
      void (texts[name] += typeof bytes === "string" ? bytes : decoder.decode(bytes)),
  });
  let session: Session | undefined;
  const program = buildProgram((options) => {
    const output = new Output(stream("stdout"), stream("stderr"), options, true);
    const whole = { cwd: "/here", env: { PATH: "/bin" }, terminal: false, ...caller };
    return session = new Session(engine, { data, run: `${data}/run` }, output, new Interrupts(), whole);
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return { engine, exit: session?.exitCode ?? 0, ...texts };
  } catch (thrown) {
    const fault = thrown instanceof CommanderError ? usageFault(thrown, args[0]) : faultOf(thrown);
    return { engine, exit: fault.exit, ...texts, fault };
  } finally {
    if (home === undefined) Deno.removeSync(data, { recursive: true });
  }
}
