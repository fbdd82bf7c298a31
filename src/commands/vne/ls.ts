import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../../session.ts";
import { renderEnvironments } from "../../ui/vne.ts";
import { outputOptions, verb } from "../../verb.ts";
import { listEnvironments } from "../../vne/environments.ts";
import { hostsOf } from "../../vne/hosts.ts";
import { membersOf } from "../../vne/members.ts";

/** `stasis vne ls`: the environments of this user. */
export function vneLs(open: Open): CommandUnknownOpts {
  return verb("ls", "List the environments, by name").action(async (_options, command) => {
    const session = open(outputOptions(command));
    const { output } = session;
    const cards = listEnvironments(
      session.home,
      (name) => output.talk(`Passing over what cannot be read: ${name}`),
    );
    const applications = await session.applications();
    const rows = cards.map((card) => {
      const members = membersOf(card, applications);
      const hosts = hostsOf(session.home, card).length;
      const running = members.filter(({ state }) => state === "running").length;
      return { ...card, members: running, ...(hosts > 0 && { hosts }) };
    });
    if (output.json) output.object(rows);
    else if (output.quiet) output.lines(rows.map((one) => one.name));
    else output.lines(renderEnvironments(rows, output.stdout.columns()));
  });
}
