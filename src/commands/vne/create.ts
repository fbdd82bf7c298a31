import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { makePrivateFolder } from "../../catalog/home.ts";
import type { Open, Session } from "../../session.ts";
import { collect, outputOptions, verb } from "../../verb.ts";
import { addEnvironment, describe, dropEnvironment, type EnvironmentCard } from "../../vne/environments.ts";
import { Lock } from "../../vne/files.ts";
import { environmentsOf } from "../../vne/ranges.ts";
import { parseSubnet, type Subnet } from "../../vne/subnets.ts";

/** `stasis vne create`: a private network for applications. */
export function vneCreate(open: Open): CommandUnknownOpts {
  return verb("create", "Make an environment: a private network that applications can join")
    .usage("[options] NAME --subnet CIDR...")
    .argument("<name>", "what to call it")
    .requiredOption("--subnet <CIDR>", "its addresses; twice for one range of IPv4 and one of IPv6", collect)
    .addOption(
      new Option("--outside <WHAT>", "whether members may reach other networks, by this host's address")
        .choices(
          ["deny", "allow"] as const,
        ).default("deny" as const),
    )
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const subnets = options.subnet.map(parseSubnet);
      const made = await create(session, name, subnets, options.outside === "allow");
      const { output } = session;
      if (output.json) output.object(made);
      else output.line(made.name);
      output.talk(`Made the environment "${name}"; "stasis run --vne ${name} -- CMD" runs a command in it`);
    });
}

async function create(
  session: Session,
  name: string,
  subnets: readonly Subnet[],
  outside: boolean,
): Promise<EnvironmentCard> {
  const { home } = session;
  makePrivateFolder(environmentsOf(home));
  using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
  const card = await addEnvironment(home, name, subnets, outside);
  try {
    await session.perform("make_environment", { environment: describe(card) });
  } catch (error) {
    dropEnvironment(home, name);
    throw error;
  }
  return card;
}
