import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Inspection, Restored, RestoreRequest, Tcp, Volumes } from "../../ffi/messages.ts";
import { parseAssignments } from "../assignments.ts";
import { stayWith } from "../attachment.ts";
import { chainMeant } from "../chains/finding.ts";
import type { Ways } from "../chains/restoring.ts";
import { bringBack } from "../chains/returning.ts";
import { whereOf } from "../chains/environment.ts";
import { checkName, freeName } from "../catalog/names.ts";
import { originOf } from "../catalog/origin.ts";
import { networkOption } from "../network.ts";
import type { Open, Session } from "../session.ts";
import { reportAll } from "../ui/chains.ts";
import { formatDuration } from "../ui/format.ts";
import { collect, outputOptions, verb } from "../verb.ts";
import { joinForRestore, vneOption, type Wish } from "../vne/joining.ts";
import { tellOf } from "../vne/meeting.ts";
import { returningHostname, withNames } from "../vne/newcomers.ts";
import { publishOption, reportPublished } from "../vne/publishing.ts";

/** `stasis restore`: brings a snapshot back. */
export function restore(open: Open): CommandUnknownOpts {
  return verb("restore", "Bring a snapshot back and let it run, or all of a chain")
    .usage("[options] (SNAPSHOT | DIR | CHAIN)")
    .argument(
      "<snapshot>",
      "an id, the beginning of one, APP@latest, APP@2, or a folder; or the id of a chain",
    )
    .option("-d, --detach", "leave it running in the background")
    .option(
      "--name <NAME>",
      "call it NAME, or all of a chain NAME-... (default: the name it had, with a number if that is taken)",
    )
    .option("--file <OLD=NEW>", "open NEW where it had OLD open; may be given more than once", collect)
    .addOption(
      new Option("--tcp <WHAT>", "go on with TCP connections, or restore them closed (default: keep)")
        .choices(["keep", "close"] as const),
    )
    .addOption(networkOption("as it was"))
    .addOption(
      new Option(
        "--volumes <WHICH>",
        "give it views of its own of what was captured, the host's folders as they are, or put back (default: own)",
      ).choices(["own", "host", "back"] as const),
    )
    .addOption(vneOption())
    .addOption(publishOption())
    .action(async (given, options, command) => {
      const session = open(outputOptions(command));
      const chain = await chainMeant(session, given);
      if (chain !== undefined) {
        const ways = waysOf(session, options);
        return reportAll(session, chain, await bringBack(session, chain, ways, whereOf(session, chain)));
      }
      const dir = await session.snapshotFolder(given);
      const files = filesOf(session, options.file ?? []);
      const inspection = await session.perform("inspect", { dir });
      const { label } = inspection;
      const name = await nameOf(session, label, options.name);
      const origin = originOf(label);
      const detach = options.detach === true;
      const restored = await bringOneBack(session, options, inspection, {
        dir,
        detach,
        terminal: session.caller.terminal && !detach,
        files,
        ...(options.tcp !== undefined && { tcp: options.tcp }),
        ...(options.volumes !== undefined && { volumes: options.volumes }),
        ...(name !== undefined && { name }),
        ...(origin !== undefined && { origin }),
      });
      if (detach) report(session, restored);
      else session.exitCode = await stayWith(session, targetOf(restored));
    });
}

/** What a restore of several can be told: what concerns one of them alone is refused. */
function waysOf(session: Session, options: Wish & Chosen): Ways {
  const own = ["vne", "network", "publish"] as const;
  const given = own.filter((one) => options[one] !== undefined);
  if (given.length > 0) {
    throw StasisError.of("usage", `Could not use --${given[0]} with a chain`, {
      causes: ["its applications come back in the networks that they were in"],
      hint: "Restore them one by one, or use stasis vne restore",
    });
  }
  const { name, tcp, volumes, file } = options;
  return {
    files: filesOf(session, file ?? []),
    ...(name !== undefined && { prefix: checkName(name) }),
    ...(tcp !== undefined && { tcp }),
    ...(volumes !== undefined && { volumes }),
  };
}

interface Chosen {
  name?: string | undefined;
  tcp?: Tcp | undefined;
  volumes?: Volumes | undefined;
  file?: string[] | undefined;
}

/** The application has its address in its own record once it runs, and the claim has done its duty. */
async function bringOneBack(
  session: Session,
  wish: Wish,
  inspection: Inspection,
  request: Omit<RestoreRequest, "network">,
): Promise<Restored> {
  using joining = await joinForRestore(session, wish, inspection);
  const { network } = joining.request;
  const named = { ...request, ...joining.request, ...returningHostname(network, request.name, inspection) };
  const newcomer = { hostname: inspection.hostname, ...named };
  const restored = await withNames(session, [newcomer], () => session.perform("restore", named));
  await reportPublished(session, restored.aid, joining.request.network);
  await tellOf(session, joining.networks);
  return restored;
}

/** A process tree comes back without a name; an application under its own, or one that is free. */
async function nameOf(
  session: Session,
  label: Inspection["label"],
  given?: string,
): Promise<string | undefined> {
  if (given !== undefined) return checkName(given);
  if (label?.name === undefined) return undefined;
  return freeName(checkName(label.name), await session.namesInUse());
}

function filesOf(session: Session, words: readonly string[]): Record<string, string> {
  const pairs = Object.entries(parseAssignments(words, "--file"));
  return Object.fromEntries(pairs.map(([old, current]) => [old, session.absolute(current)]));
}

function targetOf({ aid, pid }: Restored): { aid: string } | { pid: number } {
  return aid === undefined ? { pid } : { aid };
}

function report({ output }: Session, restored: Restored): void {
  const { aid, name, pid } = restored;
  if (output.json) output.object(restored);
  else output.line(aid ?? String(pid));
  const who = name === undefined ? `with pid ${pid}` : `as "${name}" with pid ${pid}`;
  output.talk(`Running again ${who}, restored in ${formatDuration(restored.total_us)}`);
  for (const note of restored.notes ?? []) output.talk(`  note: ${note}`);
}
