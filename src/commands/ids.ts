import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { setTimeout as delay } from "node:timers/promises";
import { StasisError } from "../../ffi/error.ts";
import type { IdRow, IdsRequest } from "../../ffi/messages.ts";
import { parseReference } from "../catalog/snapshots.ts";
import type { Open, Session } from "../session.ts";
import { renderIds } from "../ui/ids.ts";
import { Screen } from "../ui/screen.ts";
import { outputOptions, verb } from "../verb.ts";

const INTERVAL_MS = 1000;
/** The exit code of a command that was interrupted. */
const INTERRUPTED = 130;

/** `stasis ids`: what an application calls its resources, and what the host calls them. */
export function ids(open: Open): CommandUnknownOpts {
  return verb("ids", "Show the ids that an application has, and what this host calls them")
    .argument("<target>", "a name or AID of a running application, or a snapshot")
    .option("-w, --watch", "show it again every second, until interrupted")
    .action(async (given, { watch }, command) => {
      const session = open(outputOptions(command));
      const request = await requestFor(session, given);
      if (watch === true) await repeat(session, request);
      else session.output.lines(render(session, (await session.perform("ids", request)).rows));
    });
}

/** What can be neither a name nor an AID is a snapshot; of a word that could be both, the application is meant. */
async function requestFor(session: Session, given: string): Promise<IdsRequest> {
  if (!("id" in parseReference(given))) return { dir: await session.snapshotFolder(given) };
  try {
    return { aid: (await session.application(given)).aid };
  } catch (error) {
    if (!isAbsent(error)) throw error;
    return { dir: await snapshotOr(session, given, error) };
  }
}

/** That there is no application explains more than that there is no snapshot. */
async function snapshotOr(session: Session, given: string, noApplication: unknown): Promise<string> {
  try {
    return await session.snapshotFolder(given);
  } catch (error) {
    throw isAbsent(error) ? noApplication : error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof StasisError && error.fault.code === "no_target";
}

function render({ output }: Session, rows: readonly IdRow[]): string[] {
  if (output.json) return [JSON.stringify(rows)];
  if (output.quiet) return rows.map((row) => String(row.virtual));
  return renderIds(rows, output.stdout.columns());
}

/** A signal ends this between two looks, which are short. */
async function repeat(session: Session, request: IdsRequest): Promise<void> {
  const interrupted = new AbortController();
  using _listening = session.interrupts.take(() => interrupted.abort());
  const screen = new Screen(session.output);
  while (!interrupted.signal.aborted) {
    const { rows } = await session.engine.start("ids", request).done;
    screen.show(render(session, rows));
    await pause(interrupted.signal);
  }
  session.exitCode = INTERRUPTED;
}

/** Ends early when the command is interrupted. */
async function pause(signal: AbortSignal): Promise<void> {
  try {
    await delay(INTERVAL_MS, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
