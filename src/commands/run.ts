import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { RunRequest, Started } from "../../ffi/messages.ts";
import { parseAssignments } from "../assignments.ts";
import { stayWith } from "../attachment.ts";
import { checkName, freeName, nameFor } from "../catalog/names.ts";
import { networkOption } from "../network.ts";
import type { Open, Session } from "../session.ts";
import { collect, outputOptions, verb } from "../verb.ts";
import { joinForRun, vneOption, type Wish } from "../vne/joining.ts";
import { tellOf } from "../vne/meeting.ts";
import { memberHostname, withNames } from "../vne/newcomers.ts";
import { publishOption, reportPublished } from "../vne/publishing.ts";

/** How often another application may take the very name that was chosen. */
const ATTEMPTS = 5;

/** `stasis run`: an application in a capsule of its own. */
export function run(open: Open): CommandUnknownOpts {
  return verb("run", "Run a command as an application, in a capsule of its own")
    .usage("[options] -- CMD [ARG...]")
    .argument("<command...>", "the command and its arguments")
    .option("-d, --detach", 'leave it running in the background; its output goes to "stasis logs"')
    .option("--name <NAME>", "call it NAME (default: the name of the command)")
    .option("--hostname <HOST>", "the host name that it sees (default: this host's; in an environment, NAME)")
    .option("-e, --env <K=V>", "set an environment variable; may be given more than once", collect)
    .option(
      "--volume <PATH>",
      "capture the folder PATH with its snapshots; may be given more than once",
      collect,
    )
    .addOption(
      new Option("--ids <HOW>", "how System V ids are kept its own").choices(
        ["auto", "namespace", "translate"] as const,
      )
        .default("auto" as const),
    )
    .addOption(
      new Option("--interpose <WHERE>", "where calls are seen whose ids are translated").choices(
        ["auto", "library", "kernel", "off"] as const,
      ).default("auto" as const),
    )
    .addOption(networkOption("host"))
    .addOption(vneOption())
    .addOption(publishOption())
    .passThroughOptions()
    .action(async (argv, options, command) => {
      const session = open(outputOptions(command));
      const env = { ...session.caller.env, ...parseAssignments(options.env ?? [], "--env") };
      const detach = options.detach === true;
      const request = {
        argv,
        env,
        cwd: session.caller.cwd,
        detach,
        terminal: session.caller.terminal && !detach,
        ids: options.ids,
        interpose: options.interpose,
        ...(options.hostname !== undefined && { hostname: options.hostname }),
        ...(options.volume !== undefined &&
          { volumes: options.volume.map((path) => session.absolute(path)) }),
      };
      const started = await startOn(session, options, request, options.name);
      if (detach) report(session, started);
      else session.exitCode = await stayWith(session, { aid: started.aid });
    });
}

/** The application has the address in its own record once it runs, and the claim has done its duty. */
async function startOn(
  session: Session,
  wish: Wish,
  request: Omit<RunRequest, "name" | "network">,
  given?: string,
): Promise<Started> {
  using joining = await joinForRun(session, wish);
  const started = await start(session, { ...request, ...joining.request }, given);
  await reportPublished(session, started.aid, joining.request.network);
  await tellOf(session, joining.networks);
  return started;
}

/** A name that the user gave is tried once; a chosen one again when somebody else took it first. */
async function start(session: Session, request: Omit<RunRequest, "name">, given?: string): Promise<Started> {
  if (given !== undefined) return await startAs(session, request, checkName(given));
  const wanted = nameFor(request.argv[0] ?? "");
  for (let attempt = 1;; attempt++) {
    const name = freeName(wanted, await session.namesInUse());
    try {
      return await startAs(session, request, name);
    } catch (error) {
      const raced = error instanceof StasisError && (await session.namesInUse()).has(name);
      if (!raced || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Members of an environment find it by its name, which is its host name as well where it is given none. */
function startAs(session: Session, request: Omit<RunRequest, "name">, name: string): Promise<Started> {
  const named = { ...memberHostname(request.network, name), ...request, name };
  return withNames(session, [named], () => session.perform("run", named));
}

function report({ output }: Session, started: Started): void {
  if (output.json) output.object(started);
  else output.line(started.aid);
  output.talk(`Running "${started.name}" with pid ${started.pid}`);
}
