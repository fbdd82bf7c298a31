import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Fault } from "../../ffi/error.ts";
import type { Open, Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { formatBytes, printable } from "../ui/format.ts";
import { outputOptions, verb } from "../verb.ts";

type Verdict = { snapshot: string; ok: true; bytes: number } | { snapshot: string; ok: false; error: Fault };

/** `stasis verify`: reads snapshots whole and compares every checksum. */
export function verify(open: Open): CommandUnknownOpts {
  return verb("verify", "Check snapshots for damage, all of the store when none is given")
    .argument("[snapshot...]", "ids, APP@latest, APP@2, or folders")
    .action(async (given, _options, command) => {
      const session = open(outputOptions(command));
      for (const [snapshot, dir] of await chosen(session, given)) {
        const verdict = await examine(session, snapshot, dir);
        report(session, verdict);
        if (!verdict.ok && session.exitCode === 0) session.exitCode = verdict.error.exit;
      }
    });
}

async function chosen(session: Session, given: string[]): Promise<[snapshot: string, dir: string][]> {
  if (given.length === 0) return (await session.snapshots()).map((one) => [one.id, one.dir]);
  const folders: [string, string][] = [];
  for (const snapshot of given) folders.push([snapshot, await session.snapshotFolder(snapshot)]);
  return folders;
}

/** Damage is an answer here and not a failure; an interrupt ends the command. */
async function examine(session: Session, snapshot: string, dir: string): Promise<Verdict> {
  try {
    const { bytes } = await session.perform("verify", { dir });
    return { snapshot, ok: true, bytes };
  } catch (thrown) {
    const error = faultOf(thrown);
    if (error.code === "interrupted" || error.code === "internal") throw thrown;
    return { snapshot, ok: false, error };
  }
}

function report({ output }: Session, verdict: Verdict): void {
  if (output.json) output.object(verdict);
  else if (verdict.ok) output.line(`${verdict.snapshot}: ok, ${formatBytes(verdict.bytes)}`);
  else {
    const { code, message, causes = [] } = verdict.error;
    output.line(`${verdict.snapshot}: ${code}: ${[message, ...causes].map(printable).join(": ")}`);
  }
}
