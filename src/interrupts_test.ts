import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import type { Engine, Job } from "../ffi/client.ts";
import { StasisError } from "../ffi/error.ts";
import { type Interrupting, Interrupts } from "./interrupts.ts";
import { Session } from "./session.ts";
import { Output } from "./ui/output.ts";

Deno.test("the handler that was taken last hears a signal, until it is disposed of", () => {
  const heard: string[] = [];
  const interrupts = new Interrupts();
  const note = (who: string) => (signal: Interrupting) => void heard.push(`${who} ${signal}`);
  using _outer = interrupts.take(note("outer"));
  {
    using _inner = interrupts.take(note("inner"));
    interrupts.deliver("SIGINT");
  }
  interrupts.deliver("SIGTERM");
  deepStrictEqual(heard, ["inner SIGINT", "outer SIGTERM"]);
});

Deno.test("a signal cancels the operation under way, and its end is awaited", async () => {
  const interrupts = new Interrupts();
  let end: (error: Error) => void = () => {};
  let cancels = 0;
  const job: Job<never> = {
    done: new Promise((_, reject) => end = reject),
    progress: () => ({ phase: 0, done: 0, total: 0, unit: "none" }),
    cancel: () => void cancels++,
    reached: () => Promise.resolve(false),
    open: () => {},
  };
  const engine = { start: () => job, version: () => "" } as Engine;
  const silent = { terminal: false, columns: () => undefined, write: () => {} };
  const output = new Output(silent, silent, {}, true);
  const caller = { cwd: "/", env: {}, terminal: false };
  const session = new Session(engine, { data: "/d", run: "/r" }, output, interrupts, caller);
  const working = session.perform("ps", {});
  interrupts.deliver("SIGINT");
  strictEqual(cancels, 1);
  end(StasisError.of("interrupted", "Stopped because of an interrupt"));
  await rejects(working, (error) => error instanceof StasisError && error.fault.exit === 130);
});
