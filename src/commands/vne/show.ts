import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../../session.ts";
import { renderEnvironment } from "../../ui/vne.ts";
import { outputOptions, verb } from "../../verb.ts";
import { describe, findEnvironment } from "../../vne/environments.ts";
import { membersOf, withTraffic } from "../../vne/members.ts";
import { refreshed } from "../../vne/refreshing.ts";
import { standingsOf } from "../../vne/standings.ts";

/** `stasis vne show`: who is in an environment, and what went on there. */
export function vneShow(open: Open): CommandUnknownOpts {
  return verb("show", "Show an environment: its hosts, members, their links, and what its rules have stopped")
    .argument("<environment>", "its name")
    .action(async (name, _options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const card = findEnvironment(session.home, name);
      await refreshed(session, card);
      const { links, ...standing } = await session.perform("inspect_environment", {
        environment: describe(card),
      });
      const members = withTraffic(membersOf(card, await session.applications()), links);
      const hosts = await standingsOf(session, card, { present: standing.present, members });
      const shown = { ...card, ...standing, members, ...(hosts.length > 0 && { hosts }) };
      if (output.json) output.object(shown);
      else output.lines(renderEnvironment(shown, output.stdout.columns()));
    });
}
