import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";
import { resolveApplication } from "../catalog/applications.ts";
import { discardSnapshot } from "../catalog/discard.ts";
import { parseReference, pick, type Snapshot } from "../catalog/snapshots.ts";
import { chainMeant } from "../chains/finding.ts";
import { type ChainRecord, dropRecord } from "../chains/records.ts";
import type { Open, Session } from "../session.ts";
import { faultOf, showFault } from "../ui/errors.ts";
import { count } from "../ui/format.ts";
import { outputOptions, verb } from "../verb.ts";
import { tellOf } from "../vne/meeting.ts";
import { forgetNames } from "../vne/newcomers.ts";

/** What a word on the command line means; one of the two is there. */
interface Meaning {
  application: Application | undefined;
  snapshot: Snapshot | undefined;
}

/** `stasis rm`: forgets applications that ended, and snapshots. */
export function rm(open: Open): CommandUnknownOpts {
  return verb("rm", "Remove applications that have ended, or snapshots and chains of the store")
    .argument("<target...>", "names or AIDs of applications, ids of snapshots or chains, APP@latest, APP@2")
    .action(async (targets, _options, command) => {
      const session = open(outputOptions(command));
      for (const target of targets) await removeOrReport(session, target);
    });
}

/** What cannot be removed does not keep the rest; the first error decides the exit code. */
async function removeOrReport(session: Session, given: string): Promise<void> {
  try {
    await remove(session, given);
  } catch (thrown) {
    const fault = faultOf(thrown);
    if (fault.code === "interrupted" || fault.code === "internal") throw thrown;
    showFault(fault, session.output);
    if (session.exitCode === 0) session.exitCode = fault.exit;
  }
}

async function remove(session: Session, given: string): Promise<void> {
  const chain = await chainMeant(session, given);
  if (chain !== undefined) return await removeChain(session, chain);
  const { application, snapshot } = await meaning(session, given);
  if (application !== undefined) await removeApplication(session, application);
  if (snapshot !== undefined) removeSnapshot(session, snapshot);
}

/** Exactly one of the two; what could be both is not guessed at. */
async function meaning(session: Session, given: string): Promise<Meaning> {
  const reference = parseReference(given);
  if ("folder" in reference) throw outsideTheStore(given);
  const snapshot = await orAbsent(async () => pick(await session.snapshots(), reference));
  const application = "id" in reference
    ? await orAbsent(async () => resolveApplication(await session.applications(), given))
    : undefined;
  if (application === undefined && snapshot === undefined) throw neither(given);
  if (application !== undefined && snapshot !== undefined) throw both(given, application, snapshot);
  return { application, snapshot };
}

function outsideTheStore(given: string): StasisError {
  return StasisError.of("usage", `Could not remove "${given}"`, {
    causes: ["it is a folder outside the store"],
    hint: `Remove it like any folder: rm -r ${given}`,
  });
}

function neither(given: string): StasisError {
  return StasisError.of("no_target", `Could not find "${given}"`, {
    causes: ["it is neither an application nor a snapshot of the store"],
    hint: '"stasis ps" and "stasis snapshots" list both',
  });
}

function both(given: string, { name, aid }: Application, { id }: Snapshot): StasisError {
  return StasisError.of("usage", `Could not tell what "${given}" is`, {
    causes: [`it may be the application "${name}" (${aid}) or the snapshot ${id}`],
    hint: "Give the whole id",
  });
}

async function removeApplication(session: Session, { aid, name, network }: Application): Promise<void> {
  await session.perform("remove", { aid });
  await forgetNames(session, network);
  if (session.output.json) session.output.object({ removed: "application", aid, name });
  session.output.talk(`Removed the application "${name}" (${aid})`);
  await tellOf(session, [network]);
}

/** The record goes first: what a command that is killed leaves are ordinary snapshots. */
async function removeChain(session: Session, chain: ChainRecord): Promise<void> {
  const found = await session.snapshots();
  dropRecord(session.home, chain.id);
  const own = chain.members.filter(({ host }) => host === undefined);
  for (const { id, dir } of found.filter(({ id }) => own.some(({ snapshot }) => snapshot === id))) {
    discardSnapshot(session.home, id, dir);
  }
  if (session.output.json) session.output.object({ removed: "chain", id: chain.id });
  session.output.talk(`Removed the chain ${chain.id} with ${count(own.length, "snapshot")}`);
  const elsewhere = new Set(chain.members.flatMap(({ host }) => host ?? []));
  for (const host of elsewhere) session.output.talk(`On ${host} there is its part: stasis rm ${chain.id}`);
}

/** A chain that is not whole is none. */
function removeSnapshot(session: Session, { id, dir, chain }: Snapshot): void {
  if (chain !== undefined) {
    throw StasisError.of("usage", `Could not remove the snapshot ${id}`, {
      causes: [`it is a part of the chain ${chain}, which could not be restored without it`],
      hint: `Remove the whole chain: stasis rm ${chain}`,
    });
  }
  discardSnapshot(session.home, id, dir);
  if (session.output.json) session.output.object({ removed: "snapshot", id });
  session.output.talk(`Removed the snapshot ${id}`);
}

async function orAbsent<T>(find: () => Promise<T>): Promise<T | undefined> {
  try {
    return await find();
  } catch (error) {
    if (error instanceof StasisError && error.fault.code === "no_target") return undefined;
    throw error;
  }
}
