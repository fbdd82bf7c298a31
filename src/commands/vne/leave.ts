import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../../ffi/error.ts";
import type { Open, Session } from "../../session.ts";
import { faultOf } from "../../ui/errors.ts";
import { count } from "../../ui/format.ts";
import { collect, outputOptions, verb } from "../../verb.ts";
import { declareGone } from "../../vne/declaring.ts";
import { type EnvironmentCard, findEnvironment } from "../../vne/environments.ts";
import { takeLeave } from "../../vne/leaving.ts";
import { reasonOf } from "../../vne/meeting.ts";
import { refreshed } from "../../vne/refreshing.ts";
import { removeHere, requireEmpty } from "../../vne/removing.ts";
import { isBanished, onOneHost } from "../../vne/span.ts";

/** `stasis vne leave`: this host leaves an environment that others go on with, or goes on without another one. */
export function vneLeave(open: Open): CommandUnknownOpts {
  return verb("leave", "Take this host out of an environment, or another one that is gone for good")
    .argument("<environment>", "its name")
    .option(
      "--host <HOST>",
      "not this host but HOST, which never comes back: its addresses are taken over; may be given more than once",
      collect,
    )
    .option(
      "--force",
      "though applications run in it, which lose their links, or no other host takes the addresses",
    )
    .action(async (name, options, command) => {
      const session = open(outputOptions(command));
      const card = findEnvironment(session.home, name);
      if (options.host === undefined) await leave(session, card, options.force === true);
      else await goOnWithout(session, card, options.host);
    });
}

async function leave(session: Session, card: EnvironmentCard, force: boolean): Promise<void> {
  const { output } = session;
  const span = await refreshed(session, card);
  if (span === undefined) throw onOneHost(card.name);
  if (!force) await requireEmpty(session, card);
  const notes = isBanished(span) ? [] : await farewell(session, card, force);
  await removeHere(session, card.name, force);
  for (const note of notes) output.talk(`  note: ${note}`);
  if (output.json) output.object({ left: card.name });
  output.talk(`This host has left the environment "${card.name}"`);
}

/** With force, this host leaves though nobody can be told. */
async function farewell(session: Session, card: EnvironmentCard, force: boolean): Promise<string[]> {
  try {
    return await takeLeave(session, card);
  } catch (thrown) {
    if (!force || !(thrown instanceof StasisError)) throw thrown;
    return [reasonOf(faultOf(thrown))];
  }
}

async function goOnWithout(session: Session, card: EnvironmentCard, hosts: readonly string[]): Promise<void> {
  const { output } = session;
  if (await refreshed(session, card) === undefined) throw onOneHost(card.name);
  const { taken, notes } = await declareGone(session, card, hosts);
  for (const note of notes) output.talk(`  note: ${note}`);
  if (output.json) output.object({ gone: hosts, addresses: taken });
  const whom = hosts.map((host) => `"${host}"`).join(" and ");
  output.talk(`The environment "${card.name}" goes on without ${whom}; ${count(taken, "address")} came back`);
}
