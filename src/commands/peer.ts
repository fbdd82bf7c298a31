import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { HANDLERS } from "../remote/handlers.ts";
import { serve } from "../remote/serving.ts";
import { type Open, Session } from "../session.ts";
import { Output } from "../ui/output.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis peer`: answers a stasis on another host, over the pipes of a remote shell; people do not call it. */
export function peer(open: Open): CommandUnknownOpts {
  return verb("peer", "Answer a stasis on another host").action(async (_options, command) => {
    const { engine, home, output, interrupts, caller } = open(outputOptions(command));
    // stdout is for the other host alone.
    const silent = new Output({ ...output.stderr, write: () => {} }, output.stderr, { quiet: true }, true);
    const session = new Session(engine, home, silent, interrupts, caller);
    await serve(session, { readable: Deno.stdin.readable, writable: Deno.stdout.writable }, HANDLERS);
  });
}
