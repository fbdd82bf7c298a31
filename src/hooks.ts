import { StasisError } from "../ffi/error.ts";
import type { Session } from "./session.ts";
import { formatCommand } from "./ui/format.ts";

/**
 * Runs a command of the rules outside of any capsule and waits for it. What it prints to stdout is dropped, since stdout is data;
 * its stderr is ours. A signal that reaches this command is handed on.
 */
export async function runHook(
  session: Session,
  words: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  const [program = "", ...args] = words;
  const { cwd, env: inherited } = session.caller;
  const child = start(
    words,
    new Deno.Command(program, {
      args,
      cwd,
      env: { ...inherited, ...env },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: session.output.json ? "null" : "inherit",
    }),
  );
  let interrupted = false;
  using _forwarding = session.interrupts.take((signal) => {
    interrupted = true;
    try {
      child.kill(signal);
    } catch {
      // It has ended by now.
    }
  });
  const { success, code, signal } = await child.status;
  if (interrupted) throw interruption(words);
  if (!success) throw failed(words, signal === null ? `it ended with exit code ${code}` : `it got ${signal}`);
}

/** Runs a command of the rules in a clone's capsule, as `stasis exec` does, in its root folder. */
export async function runInside(
  session: Session,
  aid: string,
  words: readonly string[],
  env: Record<string, string>,
): Promise<void> {
  const request = {
    aid,
    argv: [...words],
    env: { ...session.caller.env, ...env },
    cwd: "/",
    terminal: false,
    quiet: true,
  };
  const { code, signal } = await session.perform("exec", request);
  if (code === 0) return;
  const cause = signal === undefined ? `it ended with exit code ${code}` : `it got signal ${signal}`;
  throw StasisError.of("other", `${whatOf(words)} in the capsule`, { causes: [cause] });
}

function start(words: readonly string[], command: Deno.Command): Deno.ChildProcess {
  try {
    return command.spawn();
  } catch (error) {
    throw failed(words, error instanceof Error ? error.message : String(error));
  }
}

function interruption(words: readonly string[]): StasisError {
  return StasisError.of("interrupted", whatOf(words), { causes: ["it was interrupted"] });
}

function failed(words: readonly string[], cause: string): StasisError {
  return StasisError.of("other", whatOf(words), { causes: [cause] });
}

function whatOf(words: readonly string[]): string {
  return `Could not run the hook "${formatCommand(words)}"`;
}
