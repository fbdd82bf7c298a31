import { dirname } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application, Label, Origin, SnapshotTaken, Target } from "../../ffi/messages.ts";
import { makePrivateFolder, storeOf } from "../catalog/home.ts";
import { newId } from "../catalog/names.ts";
import { exists } from "../catalog/tree.ts";
import { takeChain } from "../chains/coordinating.ts";
import { mannerOf, patienceOption } from "../chains/manner.ts";
import { parsePid } from "../pid.ts";
import type { Open, Session } from "../session.ts";
import { reportChain } from "../ui/chains.ts";
import { formatEnding } from "../ui/ending.ts";
import { describeTaken } from "../ui/snapshots.ts";
import { collect, outputOptions, verb } from "../verb.ts";

/** What is to be captured, and how to speak of it. */
interface Subject {
  target: Target;
  title: string;
  name?: string;
  aid?: string;
  origin?: Origin;
}

/** `stasis snapshot`: captures an application, several at one moment, or a process tree. */
export function snapshot(open: Open): CommandUnknownOpts {
  return verb("snapshot", "Take a snapshot of an application, or one of several at one moment; they run on")
    .usage("[options] (APP... | --pid PID)")
    .argument("[app...]", "names or AIDs of applications; several are a chain: all or none")
    .option("--pid <PID>", "take the process PID and its descendants, which stasis did not start", parsePid)
    .option("--out <DIR>", "make the folder DIR instead of putting the snapshot into the store")
    .option("--stop", "leave no process of it once the snapshot is complete")
    .option("--tag <TAG>", "mark the snapshot; may be given more than once", collect)
    .addOption(
      new Option("--tcp <WHAT>", "capture TCP connections as they are, or as closed (default: keep)")
        .choices(["keep", "close"] as const),
    )
    .addOption(patienceOption())
    .action(async (apps, options, command) => {
      const session = open(outputOptions(command));
      if (apps.length > 1) {
        const applications = await severalOf(session, apps, options);
        if (applications.length > 1) {
          return reportChain(
            session,
            await takeChain(session, applications, mannerOf(options)),
            options.stop === true,
          );
        }
      }
      const [app] = apps;
      const subject = await subjectOf(session, app, options.pid);
      const id = newId();
      const out = placeFor(session, id, options.out);
      const stop = options.stop === true;
      const label = labelOf(subject, id, options.tag ?? []);
      const taken = await session.perform("snapshot", {
        target: [subject.target],
        out,
        stop,
        label,
        ...(options.tcp !== undefined && { tcp: options.tcp }),
      });
      report(session, subject, label, taken, { stopped: stop, stored: options.out === undefined });
    });
}

async function subjectOf(session: Session, app?: string, pid?: number): Promise<Subject> {
  if ((app === undefined) === (pid === undefined)) {
    throw StasisError.of("usage", "Could not tell what to take a snapshot of", {
      causes: [app === undefined ? "neither APP nor --pid was given" : "both APP and --pid were given"],
      hint: 'Write "stasis snapshot APP" or "stasis snapshot --pid PID"',
    });
  }
  if (pid !== undefined) return { target: { pid }, title: `process ${pid}` };
  const { aid, name, origin } = await runningOf(session, app ?? "");
  return { target: { aid }, title: `"${name}"`, name, aid, ...(origin !== undefined && { origin }) };
}

async function runningOf(session: Session, app: string): Promise<Application> {
  const application = await session.application(app);
  if (application.state === "running") return application;
  throw StasisError.of("no_target", `Could not take a snapshot of "${application.name}"`, {
    causes: [application.state === "lost" ? "it is lost" : `it has ended: ${formatEnding(application)}`],
  });
}

/** The applications of a chain, each once. */
async function severalOf(
  session: Session,
  apps: readonly string[],
  { pid, out }: { pid?: number | undefined; out?: string | undefined },
): Promise<Application[]> {
  if (pid !== undefined || out !== undefined) {
    throw StasisError.of("usage", "Could not take one snapshot of several applications", {
      causes: [pid === undefined ? "--out names one folder" : "--pid is of what stasis did not start"],
      hint: "A chain is of applications, and goes into the store",
    });
  }
  const found = new Map<string, Application>();
  for (const app of apps) {
    const application = await runningOf(session, app);
    found.set(application.aid, application);
  }
  return [...found.values()];
}

/** The folder that the engine is to create; it makes none over one that has something in it. */
function placeFor(session: Session, id: string, out?: string): string {
  if (out === undefined) {
    const store = storeOf(session.home);
    makePrivateFolder(store);
    return `${store}/${id}`;
  }
  const folder = session.absolute(out);
  if (exists(folder) && !isEmptyFolder(folder)) {
    throw unusable(
      out,
      "there is something by that name already",
      "Name a folder that is empty or not there yet",
    );
  }
  if (!exists(dirname(folder))) {
    throw unusable(out, `there is no folder ${dirname(folder)}`, "Make that folder first");
  }
  return folder;
}

function unusable(out: string, cause: string, hint: string): StasisError {
  return StasisError.of("usage", `Could not put the snapshot into "${out}"`, { causes: [cause], hint });
}

function labelOf({ name, aid, origin }: Subject, id: string, tags: string[]): Label {
  return {
    id,
    ...(name !== undefined && { name }),
    ...(aid !== undefined && { aid }),
    ...(origin !== undefined && { origin }),
    tags,
    created: new Date().toISOString(),
  };
}

function report(
  { output }: Session,
  { title }: Subject,
  label: Label,
  taken: SnapshotTaken,
  { stopped, stored }: { stopped: boolean; stored: boolean },
): void {
  if (output.json) output.object({ ...label, ...taken });
  else output.line(stored ? label.id : taken.dir);
  output.talk(`Took ${title}: ${describeTaken(taken)}${stopped ? "; no process of it is left" : ""}`);
  for (const note of taken.notes) output.talk(`  note: ${note}`);
}

function isEmptyFolder(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory && Deno.readDirSync(path)[Symbol.iterator]().next().done === true;
  } catch {
    return false;
  }
}
