/** Bringing a chain back on all of its hosts at one moment, as the one who says when. */

import { StasisError } from "../../ffi/error.ts";
import { RESTORE_GATES, type Restored } from "../../ffi/messages.ts";
import { Conversation, type Peer } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { follow } from "./elsewhere.ts";
import { Line } from "./line.ts";
import type { ChainMember, ChainRecord } from "./records.ts";
import { Rendezvous } from "./rendezvous.ts";
import { type Place, removeAll, restoreMembers, type Ways } from "./restoring.ts";

/** An application that runs again. */
export interface Returned extends Restored {
  /** The host that it runs on; absent for this one. */
  host?: string;
}

/** Where applications come back to. */
export interface Where {
  place: Place;
  /** The id of the environment, where it is one as a whole. */
  environment?: string;
  /** Hosts of that. */
  hosts: readonly { name: string; peer: Peer }[];
}

const GATES = Object.values(RESTORE_GATES);
/** How long another host may say nothing, in ms. */
const SILENCE = 10_000;

/** Brings all applications of a chain back, or none. */
export async function bringBack(
  session: Session,
  chain: ChainRecord,
  ways: Ways,
  where: Where,
): Promise<Returned[]> {
  const parts = Map.groupBy(chain.members, ({ host }) => host);
  const own = parts.get(undefined) ?? [];
  parts.delete(undefined);
  await using there = new AsyncDisposableStack();
  const others = await Promise.all([...parts].map(async ([host = "", members]) => {
    const conversation = there.use(await Conversation.open(session, peerOf(host, where)));
    return { host, members, conversation };
  }));
  const rendezvous = new Rendezvous(others.length + (own.length > 0 ? 1 : 0));
  const [here, ...theirs] = await Promise.allSettled([
    own.length === 0
      ? Promise.resolve([])
      : failing(rendezvous, restoreMembers(session, own, ways, where.place, (gate) => rendezvous.meet(gate))),
    ...others.map((other) => failing(rendezvous, bringElsewhere(other, ways, where, rendezvous))),
  ]);
  const ended = [here, ...theirs];
  if (ended.every((one) => one.status === "fulfilled")) return ended.flatMap((one) => one.value);
  const made = (here.status === "fulfilled" ? here.value : []) as Returned[];
  const left = await removeAll(session, made);
  for (const [index, one] of theirs.entries()) {
    const other = others[index];
    if (one.status === "rejected" || other === undefined) continue;
    left.push(...await removeElsewhere(other.conversation, other.host, one.value));
  }
  throw undone(rendezvous.failure?.error, left);
}

async function failing<T>(rendezvous: Rendezvous, part: Promise<T>): Promise<T> {
  try {
    return await part;
  } catch (error) {
    rendezvous.fail(error);
    throw error;
  }
}

async function bringElsewhere(
  { host, members, conversation }: { host: string; members: ChainMember[]; conversation: Conversation },
  { prefix, tcp }: Ways,
  { environment }: Where,
  rendezvous: Rendezvous,
): Promise<Returned[]> {
  const order = { members: members.map(({ host: _host, ...one }) => one), prefix, tcp, environment };
  const answer = await conversation.ask("chain-restore", order, async (talk) => {
    using line = new Line(talk, SILENCE);
    await follow(line, GATES, rendezvous);
  });
  const restored = Array.isArray(answer) ? answer.filter(isRestored) : [];
  return restored.map((one) => ({ ...one, host }));
}

async function removeElsewhere(
  there: Conversation,
  host: string,
  made: readonly Returned[],
): Promise<string[]> {
  try {
    const left = await there.ask("chain-undo", { aids: made.map(({ aid }) => aid) });
    return Array.isArray(left) ? left.map((one) => `${host}: ${one}`) : [];
  } catch (error) {
    const names = made.map(({ name = "" }) => `"${name}"`).join(", ");
    return [`${host}: ${names} run there, and could not be ended: ${faultOf(error).message}`];
  }
}

function undone(error: unknown, left: readonly string[]): StasisError {
  const fault = faultOf(error);
  if (left.length === 0) return new StasisError(fault);
  return StasisError.of("restore_left", fault.message, {
    causes: [...fault.causes ?? [], ...left],
    aftermath: "Not all that had come back could be removed",
  });
}

function peerOf(host: string, { hosts }: Where): Peer {
  const found = hosts.find(({ name }) => name === host);
  if (found !== undefined) return found.peer;
  throw StasisError.of("no_target", `Could not find the host "${host}"`, {
    causes: ["it has a part of the chain, and is not among the hosts of the environment any more"],
    hint: "Bring its part back there: stasis restore, with the id of the chain, on that host",
  });
}

function isRestored(value: unknown): value is Restored {
  if (typeof value !== "object" || value === null) return false;
  const { aid, name, pid, total_us } = value as Partial<Record<keyof Restored, unknown>>;
  return typeof pid === "number" && typeof total_us === "number" && typeof aid === "string" &&
    typeof name === "string";
}
