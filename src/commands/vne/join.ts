import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import type { Open, Session } from "../../session.ts";
import { count } from "../../ui/format.ts";
import { outputOptions, verb } from "../../verb.ts";
import { comeTo, comeToDirectory } from "../../vne/coming.ts";
import type { HostOptions } from "../../vne/creating.ts";
import { type EnvironmentCard, findEnvironment, listEnvironments } from "../../vne/environments.ts";
import { raise, requireAllowed } from "../../vne/hosts.ts";
import { meetAll, reportUntold } from "../../vne/meeting.ts";
import { refreshed } from "../../vne/refreshing.ts";
import { changeSpan, onOneHost, selfOf } from "../../vne/span.ts";
import { spanOf } from "../../vne/questions.ts";
import { countOf } from "../../vne/shares.ts";
import { directoryOption, remoteOption, rshOption, selfOption } from "./options.ts";

interface Options extends Omit<HostOptions, "peer"> {
  peer?: string | undefined;
}

/** `stasis vne join`: this host comes to an environment that others have, or meets them again. */
export function vneJoin(open: Open): CommandUnknownOpts {
  return verb("join", "Bring this host into an environment that other hosts have, or have it meet them again")
    .argument("<environment>", "its name")
    .option("--peer <HOST>", "one of the hosts that have it")
    .addOption(selfOption())
    .addOption(directoryOption())
    .addOption(rshOption())
    .addOption(remoteOption())
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const isHere = listEnvironments(session.home).some((one) => one.name === name);
      if (!isHere) await come(session, name, options);
      else await meetAgain(session, findEnvironment(session.home, name), options);
      report(session, findEnvironment(session.home, name));
    });
}

async function come(session: Session, name: string, options: Options): Promise<void> {
  const { peer, directory } = options;
  if (peer !== undefined) await comeTo(session, name, peer, options);
  else if (directory !== undefined) await comeToDirectory(session, name, directory, options);
  else {
    throw StasisError.of("usage", `Could not join the environment "${name}"`, {
      causes: ["this host does not have it, and does not know who has"],
      hint: "Name a host that has it with --peer, or its directory with --directory",
    });
  }
  const card = findEnvironment(session.home, name);
  const heard = await meetAll(session, card);
  reportUntold(session, card, heard, "that this host has come");
  await raise(session, card);
}

/** Brings everything up to date in both directions, and makes what is missing after a restart of the host. */
async function meetAgain(session: Session, card: EnvironmentCard, options: Options): Promise<void> {
  requireNothingNew(card, options);
  const { rsh, remote } = options;
  const ways = { ...(rsh !== undefined && { rsh }), ...(remote !== undefined && { remote }) };
  const span = await refreshed(session, card);
  if (span === undefined) throw onOneHost(card.name);
  requireAllowed(card.name, span);
  await changeSpan(session.home, card.name, (one) => ({ span: { ...one, ...ways }, result: undefined }));
  const heard = await meetAll(session, card);
  requireAllowed(card.name, spanOf(session, card));
  reportUntold(session, card, heard, "what this host knows");
  await raise(session, card);
}

function requireNothingNew({ name }: EnvironmentCard, { peer, directory, self }: Options): void {
  if (peer === undefined && directory === undefined && self === undefined) return;
  throw StasisError.of("usage", `Could not join the environment "${name}"`, {
    causes: ["this host has it already"],
    hint: `To meet the other hosts again: stasis vne join ${name}`,
  });
}

function report(session: Session, card: EnvironmentCard): void {
  const { output } = session;
  const span = spanOf(session, card);
  const { name, address, numbers } = selfOf(span);
  if (output.json) output.object({ ...card, host: name, address, hosts: span.hosts.length });
  else output.line(card.name);
  const owned = `hands out ${countOf(numbers)} of its addresses`;
  output.talk(`The environment "${card.name}" is on ${count(span.hosts.length, "host")}; this one ${owned}`);
}
