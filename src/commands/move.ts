import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";
import { moveApplication } from "../moving/departing.ts";
import type { Moved } from "../moving/report.ts";
import type { Open, Session } from "../session.ts";
import { formatBytes, formatDuration } from "../ui/format.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis move`: has a running application go on on another host. */
export function move(open: Open): CommandUnknownOpts {
  return verb("move", "Move a running application to another host, with its address and connections")
    .argument("<app>", "the application's name or AID")
    .argument("<host>", "the host, as the remote shell takes it")
    .option("--rsh <CMD>", "the remote shell (default: STASIS_RSH, or ssh)")
    .option("--remote <PATH>", "where stasis is on the other host (default: on its PATH)")
    .option("--keep", "keep the snapshots that are made for it")
    .addOption(
      new Option("--tcp <WHAT>", "go on with TCP connections, or move them closed (default: keep)")
        .choices(["keep", "close"] as const),
    )
    .action(async (given, host, options, command) => {
      const session = open(outputOptions(command));
      const application = requireRunning(await session.application(given), host);
      const peer = { host, rsh: options.rsh ?? Deno.env.get("STASIS_RSH"), remote: options.remote };
      const moved = await moveApplication(session, application, peer, {
        keep: options.keep === true,
        ...(options.tcp !== undefined && { tcp: options.tcp }),
      });
      report(session, application, host, moved);
    });
}

function requireRunning(application: Application, host: string): Application {
  if (application.state === "running") return application;
  throw StasisError.of("no_target", `Could not move "${application.name}" to ${host}`, {
    causes: ["it does not run"],
    hint: "Export a snapshot of it, and import that there: stasis export, stasis import",
  });
}

function report({ output }: Session, { name }: Application, host: string, moved: Moved): void {
  if (output.json) output.object({ moved: "application", name, host, ...moved });
  else output.line(moved.aid);
  const { first, last } = moved.bytes;
  output.talk(
    `"${name}" runs on ${host} now (${moved.aid}). It stood still for ${formatDuration(moved.pause_us)}; ` +
      `${formatBytes(first)} went before, ${formatBytes(last)} then`,
  );
  for (const note of moved.notes) output.talk(`  note: ${note}`);
}
