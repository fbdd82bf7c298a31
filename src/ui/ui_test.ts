import { strictEqual } from "node:assert/strict";
import type { Job } from "../../ffi/client.ts";
import { StasisError } from "../../ffi/error.ts";
import { faultOf, showFault } from "./errors.ts";
import { Output, type OutputOptions, wantsNoColor } from "./output.ts";
import { renderProgress, withProgress } from "./progress.ts";

function capture(options: OutputOptions = {}, terminal = false): { output: Output; stderr: () => string } {
  let text = "";
  const stderr = { terminal, columns: () => undefined, write: (more: string) => void (text += more) };
  const stdout = { ...stderr, write: () => {} };
  return { output: new Output(stdout, stderr, options, true), stderr: () => text };
}

const LOST = StasisError.of("not_permitted", "Could not stop process 7", {
  causes: ["ptrace: Operation not permitted", "it is traced by process 9"],
  aftermath: "The application runs on unharmed",
  hint: "End the debugger",
});

Deno.test("an error is shown with its code, causes, aftermath and hint", () => {
  const { output, stderr } = capture();
  showFault(LOST.fault, output);
  strictEqual(
    stderr(),
    [
      "error[not_permitted]: Could not stop process 7",
      "  cause: ptrace: Operation not permitted",
      "  cause: it is traced by process 9",
      "  after: The application runs on unharmed",
      "  hint:  End the debugger",
      "",
    ].join("\n"),
  );
});

Deno.test("under --json an error is one object", () => {
  const { output, stderr } = capture({ json: true });
  showFault(LOST.fault, output);
  const { error } = JSON.parse(stderr());
  strictEqual(error.exit, 13);
  strictEqual(error.aftermath, "The application runs on unharmed");
});

Deno.test("what nobody foresaw is our fault and ends with 70", () => {
  const fault = faultOf(new TypeError("x is not a function"));
  strictEqual(fault.exit, 70);
  strictEqual(fault.causes?.[0], "x is not a function");
});

Deno.test("--quiet and --json silence talk", () => {
  for (const options of [{ quiet: true }, { json: true }]) {
    const { output, stderr } = capture(options, true);
    output.talk("hello");
    strictEqual(stderr(), "");
    strictEqual(output.animated, false);
  }
});

Deno.test("NO_COLOR counts when it is not empty", () => {
  strictEqual(wantsNoColor((name) => name === "NO_COLOR" ? "1" : undefined), true);
  strictEqual(wantsNoColor((name) => name === "NO_COLOR" ? "" : undefined), false);
  strictEqual(wantsNoColor((name) => name === "TERM" ? "dumb" : undefined), true);
});

Deno.test("progress shows a bar where the total is known", () => {
  const line = renderProgress({ phase: 3, done: 512 * 1024, total: 1024 * 1024, unit: "bytes" }, 1234);
  strictEqual(line, "writing memory  [############------------]  512 KiB of 1.0 MiB  1.2 s");
  strictEqual(
    renderProgress({ phase: 4, done: 0, total: 0, unit: "none" }, 600),
    "finishing the image  0.6 s",
  );
});

Deno.test("progress is drawn after half a second, on a terminal only, and cleared", async () => {
  for (const terminal of [true, false]) {
    const { output, stderr } = capture({}, terminal);
    const done = new Promise<number>((resolve) => setTimeout(() => resolve(5), 800));
    const job: Job<number> = {
      done,
      progress: () => ({ phase: 0, done: 0, total: 0, unit: "none" }),
      cancel: () => {},
      reached: () => Promise.resolve(false),
      open: () => {},
    };
    strictEqual(await withProgress(job, output), 5);
    strictEqual(stderr().includes("working"), terminal);
    strictEqual(stderr().endsWith("\r\x1b[2K"), terminal);
  }
});
