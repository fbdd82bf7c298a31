import { StasisError } from "../ffi/error.ts";
import type { Ending, Target } from "../ffi/messages.ts";
import type { Interrupting } from "./interrupts.ts";
import type { Session } from "./session.ts";
import { numberOf } from "./signals.ts";

/**
 * Stays with an application until it has ended and returns the exit code that a shell would show for it. Signals
 * that reach this command go to the application instead; its end ends the command.
 */
export async function stayWith(session: Session, target: Target): Promise<number> {
  using _forwarding = session.interrupts.take((signal) => forward(session, target, signal));
  const ending = await session.engine.start("attach", target).done;
  if (ending.code === undefined && ending.signal === undefined) {
    session.output.talk("It has ended; how is not known, because stasis is not its parent");
  }
  return exitCodeOf(ending);
}

/** What a shell makes of an ending: the exit code, or 128 and the signal's number; 1 when it is not known. */
export function exitCodeOf(ending: Ending): number {
  return ending.code ?? (ending.signal === undefined ? 1 : 128 + ending.signal);
}

/** An application that is gone by now needs no signal; anything else is said, because the user waits for it. */
function forward(session: Session, target: Target, signal: Interrupting): void {
  deliver(session, target, signal).catch((error: unknown) => {
    const gone = error instanceof StasisError
      ? error.fault.code === "no_target"
      : error instanceof Deno.errors.NotFound;
    if (!gone) {
      session.output.talk(`Could not hand ${signal} on: ${error instanceof Error ? error.message : error}`);
    }
  });
}

async function deliver(session: Session, target: Target, signal: Interrupting): Promise<void> {
  if ("pid" in target) Deno.kill(target.pid, signal);
  else await session.engine.start("signal", { aid: target.aid, signal: numberOf(signal) }).done;
}
