import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Application } from "../../ffi/messages.ts";
import { parsePid } from "../pid.ts";
import type { Open, Session } from "../session.ts";
import { renderApplications } from "../ui/applications.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis ps`: the applications of this user. */
export function ps(open: Open): CommandUnknownOpts {
  return verb("ps", "List applications")
    .option("--pid <PID>", "only the application that this process belongs to", parsePid)
    .action(async ({ pid }, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const applications = await (pid === undefined ? session.applications() : owners(session, pid));
      if (output.json) output.object(applications);
      else if (output.quiet) output.lines(applications.map((one) => one.aid));
      else {
        const { templates } = pid === undefined ? await session.perform("loaded", {}) : { templates: [] };
        output.lines(renderApplications(applications, templates, output.stdout.columns()));
      }
    });
}

async function owners(session: Session, pid: number): Promise<Application[]> {
  const { aid } = await session.perform("owner", { pid });
  return [await session.application(aid)];
}
