import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application, Network, Restored } from "../../ffi/messages.ts";
import { findTemplate } from "../catalog/templates.ts";
import type { Open, Session } from "../session.ts";
import { formatEnding } from "../ui/ending.ts";
import { formatDuration } from "../ui/format.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis rollback`: a running application goes back to an earlier snapshot of it, in place. */
export function rollback(open: Open): CommandUnknownOpts {
  return verb("rollback", "Take a running application back to a snapshot of it, in place")
    .usage("[options] APP (SNAPSHOT | DIR | --template NAME)")
    .argument("<app>", "its name or AID")
    .argument("[snapshot]", "an id, the beginning of one, APP@latest, APP@2, or a folder")
    .option(
      "--template <NAME>",
      "take the snapshot that a template was made of",
    )
    .option("--force", "take a snapshot of another application as well")
    .addOption(
      new Option("--tcp <WHAT>", "restore TCP connections closed, or go on with them")
        .choices(["keep", "close"] as const)
        .default("close" as const),
    )
    .action(async (app, given, options, command) => {
      const session = open(outputOptions(command));
      const application = await session.application(app);
      requireRunning(application);
      const { aid, origin } = application;
      const restored = await session.perform("restore", {
        dir: await imageOf(session, given, options.template),
        detach: true,
        terminal: false,
        tcp: options.tcp,
        ...(origin !== undefined && { origin }),
        ...await placeOf(session, application),
        replace: { aid, foreign: options.force === true },
      });
      report(session, application, restored);
    });
}

/** In an environment, who it is stays as it is now: its address, as others know it, and its host name. */
async function placeOf(
  session: Session,
  { aid, network }: Application,
): Promise<{ network?: Network; hostname?: string }> {
  const [link] = network === "host" ? [] : network.own.links ?? [];
  if (link === undefined) return {};
  const { members } = await session.perform("members", { environment: link.environment.id });
  const hostname = members.find((one) => one.aid === aid)?.hostname;
  return { network, ...(hostname !== undefined && { hostname }) };
}

async function imageOf(
  session: Session,
  snapshot?: string,
  template?: string,
): Promise<string> {
  if ((snapshot === undefined) === (template === undefined)) {
    throw StasisError.of("usage", "Could not tell what to go back to", {
      causes: [snapshot === undefined ? "neither SNAPSHOT nor --template was given" : "both were given"],
      hint: 'Write "stasis rollback APP SNAPSHOT" or "stasis rollback APP --template NAME"',
    });
  }
  if (snapshot !== undefined) return await session.snapshotFolder(snapshot);
  return findTemplate(session.home, template ?? "").image;
}

function requireRunning(application: Application): void {
  const { name, state } = application;
  if (state === "running") return;
  throw StasisError.of("no_target", `Could not roll "${name}" back`, {
    causes: [state === "lost" ? "it is lost" : `it has ended: ${formatEnding(application)}`],
    hint: "A snapshot of an application that has ended is brought back by stasis restore",
  });
}

function report({ output }: Session, { aid, name }: Application, restored: Restored): void {
  const { pid, total_us, notes = [] } = restored;
  if (output.json) output.object({ ...restored, aid, name });
  else output.line(aid);
  output.talk(`Rolled "${name}" back in ${formatDuration(total_us)}; it runs with pid ${pid}`);
  for (const note of notes) output.talk(`  note: ${note}`);
}
