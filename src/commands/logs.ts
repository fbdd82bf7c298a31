import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";
import { LogReader } from "../log.ts";
import type { Open, Session } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";

const POLL_MS = 100;

/** `stasis logs`: what a detached application has written to stdout and stderr. */
export function logs(open: Open): CommandUnknownOpts {
  return verb("logs", "Show the output of a detached application")
    .argument("<app>", "its name or AID")
    .option("-f, --follow", "go on until the application ends")
    .action(async (app, options, command) => {
      const session = open(outputOptions(command));
      const application = await session.application(app);
      using log = openLog(session, application);
      if (options.follow === true) await follow(session, application, log);
      else log.drain(printer(session));
    });
}

function openLog(session: Session, { aid, name }: Application): LogReader {
  const path = `${session.home.data}/apps/${aid}/log`;
  try {
    return new LogReader(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw StasisError.of("no_target", `Could not show the log of "${name}"`, {
      causes: [`there is no ${path}`],
      hint: "Only applications that were started with --detach have a log",
    });
  }
}

/** Bytes as they are, or under `--json` one object for each read. */
function printer({ output }: Session): (bytes: Uint8Array) => void {
  if (!output.json) return (bytes) => output.stdout.write(bytes);
  const decoder = new TextDecoder();
  return (bytes) => output.object({ text: decoder.decode(bytes, { stream: true }) });
}

/** Shows what is appended until the application has ended and everything is shown, or a signal comes. */
async function follow(session: Session, { aid }: Application, log: LogReader): Promise<void> {
  const print = printer(session);
  const job = session.engine.start("wait", { aid });
  let ended = false;
  const end = job.done.finally(() => ended = true);
  using _listening = session.interrupts.take(() => job.cancel());
  while (!ended) {
    log.drain(print);
    await Promise.race([end.catch(() => {}), sleep(POLL_MS)]);
  }
  log.drain(print);
  await end;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
