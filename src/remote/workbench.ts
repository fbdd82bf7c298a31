/** The other host of the tests: run as a remote shell would run stasis there, and asked odd things. */

import { FakeEngine } from "../commands/workbench.ts";
import { Interrupts } from "../interrupts.ts";
import { Session } from "../session.ts";
import { Output } from "../ui/output.ts";
import { StasisError } from "../../ffi/error.ts";
import { type Handler, serve } from "./serving.ts";

export function sessionForTests(): Session {
  const stream = { terminal: false, columns: () => undefined, write: () => {} };
  const caller = { cwd: "/", env: Deno.env.toObject(), terminal: false };
  const home = { data: "/nowhere", run: "/nowhere" };
  return new Session(
    new FakeEngine({}),
    home,
    new Output(stream, stream, {}, true),
    new Interrupts(),
    caller,
  );
}

const HANDLERS = new Map<string, Handler>([
  ["double", (_session, args) => Promise.resolve(Number(args) * 2)],
  ["fail", () => {
    throw StasisError.of("refused", "Could not do it", { causes: ["it is a test"], hint: "None" });
  }],
  ["sum", async (_session, _args, talk) => {
    let sum = 0;
    for (;;) {
      const heard = await talk.hear();
      if ("value" in heard) return sum;
      sum += heard.bytes.reduce((all, one) => all + one, 0);
      await talk.say(sum);
    }
  }],
  ["wait", async (_session, path, talk) => {
    try {
      await talk.hear();
    } catch {
      await Deno.writeTextFile(String(path), `undone ${talk.gone.aborted}`);
    }
  }],
]);

if (import.meta.main) {
  await serve(sessionForTests(), { readable: Deno.stdin.readable, writable: Deno.stdout.writable }, HANDLERS);
}
