import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import type { Open, Session } from "../../session.ts";
import { count } from "../../ui/format.ts";
import { collect, outputOptions, verb } from "../../verb.ts";
import { establish } from "../../vne/adopting.ts";
import { createOnAll, fitting, type HostOptions, planSpan } from "../../vne/creating.ts";
import { checkNew, type EnvironmentCard, newCard } from "../../vne/environments.ts";
import { parseMtu, secretFor } from "../../vne/secrets.ts";
import { parseSubnet } from "../../vne/subnets.ts";
import { directoryOption, remoteOption, rshOption, selfOption } from "./options.ts";

/** What the command line says. */
interface Options extends HostOptions {
  subnet: string[];
  outside: "deny" | "allow";
  mtu?: number | undefined;
  encrypt?: boolean | undefined;
  secret?: string | undefined;
}

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
    .option(
      "--peer <HOST[=ADDRESS]>",
      "make it on HOST as well, which the others reach at ADDRESS; may be given more than once",
      collect,
    )
    .addOption(selfOption())
    .addOption(directoryOption())
    .addOption(rshOption())
    .addOption(remoteOption())
    .option(
      "--mtu <BYTES>",
      "the largest packet of a member (default: what fits between the hosts)",
      parseMtu,
    )
    .option("--encrypt", "encrypt what goes from host to host")
    .option("--secret <FILE>", "with the key in FILE, 64 hexadecimal digits (default: a random one)")
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const { card, notes, hosts } = await create(session, name, options);
      const { output } = session;
      if (output.json) output.object(card);
      else output.line(card.name);
      for (const note of notes) output.talk(`  note: ${note}`);
      const where = hosts > 1 ? ` on ${count(hosts, "host")}` : "";
      output.talk(
        `Made the environment "${name}"${where}; "stasis run --vne ${name} -- CMD" runs a command in it`,
      );
    });
}

interface Created {
  card: EnvironmentCard;
  hosts: number;
  notes: string[];
}

async function create(session: Session, name: string, options: Options): Promise<Created> {
  const subnets = options.subnet.map(parseSubnet);
  const plain = await newCard(name, subnets, options.outside === "allow", options.mtu);
  // Before anybody else is asked.
  checkNew(session.home, plain);
  const secret = secretFor(session, options);
  const span = await planSpan(plain, options, secret);
  if (span === undefined) {
    requireNoHosts(options);
    await establish(session, plain);
    return { card: plain, hosts: 1, notes: [] };
  }
  const card = await fitting(session, plain, span, options.mtu);
  const notes = await createOnAll(session, card, span);
  return { card, hosts: span.hosts.length, notes };
}

/** What has no meaning for an environment on one host is not passed over in silence. */
function requireNoHosts({ self, encrypt, rsh, remote }: Options): void {
  const given = Object.entries({ "--self": self, "--encrypt": encrypt, "--rsh": rsh, "--remote": remote });
  const [first] = given.filter(([, value]) => value !== undefined).map(([option]) => option);
  if (first === undefined) return;
  throw StasisError.of("usage", `Could not use ${first} for an environment on one host`, {
    hint: "Name the other hosts with --peer, or a directory of hosts with --directory",
  });
}
