import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import type { Open, Session } from "../../session.ts";
import { lifeOfKeys } from "../../ui/vne.ts";
import { outputOptions, verb } from "../../verb.ts";
import { describe, type EnvironmentCard, findEnvironment } from "../../vne/environments.ts";
import { raise, requireAllowed } from "../../vne/hosts.ts";
import { refreshed } from "../../vne/refreshing.ts";

/** `stasis vne rotate`: keeps an encrypted environment going where no other command does. */
export function vneRotate(open: Open): CommandUnknownOpts {
  return verb("rotate", "Make the keys of an encrypted environment that have become due, for days ahead")
    .argument("<environment>", "its name")
    .action(async (name, _options, command) => {
      const session = open(outputOptions(command));
      const card = findEnvironment(session.home, name);
      await rotate(session, card);
      const { tunnel } = await session.perform("inspect_environment", { environment: describe(card) });
      const { output } = session;
      const until = tunnel?.encryption?.keys_until;
      const last = until === undefined ? undefined : new Date(until * 1000).toISOString();
      if (output.json) output.object({ name, ...(last !== undefined && { keys_until: last }) });
      else if (last !== undefined) output.line(last);
      if (tunnel !== undefined) output.talk(`The environment "${name}": ${lifeOfKeys(tunnel)}`);
    });
}

async function rotate(session: Session, card: EnvironmentCard): Promise<void> {
  const span = await refreshed(session, card);
  if (span?.secret === undefined) throw nothingToRotate(card, span !== undefined);
  requireAllowed(card.name, span);
  await raise(session, card);
}

function nothingToRotate({ name }: EnvironmentCard, spans: boolean): StasisError {
  return StasisError.of("usage", `Could not change keys of the environment "${name}"`, {
    causes: [spans ? "what goes between its hosts is not encrypted" : "it is on this host only"],
    ...(spans && { hint: "An environment is encrypted from the beginning, with vne create --encrypt" }),
  });
}
