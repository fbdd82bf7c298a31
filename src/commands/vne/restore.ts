import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { checkName } from "../../catalog/names.ts";
import { Destination, withoutEnvironment } from "../../chains/environment.ts";
import { findChain } from "../../chains/finding.ts";
import type { ChainRecord } from "../../chains/records.ts";
import { bringBack, type Returned } from "../../chains/returning.ts";
import type { Open, Session } from "../../session.ts";
import { reportAll } from "../../ui/chains.ts";
import { outputOptions, verb } from "../../verb.ts";

/** `stasis vne restore`: an environment with all that ran in it. */
export function vneRestore(open: Open): CommandUnknownOpts {
  return verb(
    "restore",
    "Bring an environment back with all that ran in it, on all of its hosts: all or nothing",
  )
    .argument("<chain>", "the id that vne snapshot printed, or the beginning of it")
    .option(
      "--name <NEW>",
      "make a new environment NEW for them, beside the first one, at the same addresses",
    )
    .action(async (given, options, command) => {
      const session = open(outputOptions(command));
      const chain = await findChain(session, given);
      reportAll(session, chain, await restore(session, chain, options.name));
    });
}

async function restore(session: Session, chain: ChainRecord, name?: string): Promise<Returned[]> {
  const { environment, members, id } = chain;
  if (environment === undefined) throw withoutEnvironment(id);
  const spans = members.some(({ host }) => host !== undefined);
  await using destination = name === undefined
    ? await Destination.former(session, environment, spans)
    : await Destination.beside(session, checkName(name), environment, spans);
  const ways = name === undefined ? {} : { prefix: name };
  const restored = await bringBack(session, chain, ways, destination.where);
  destination.keep();
  return restored;
}
