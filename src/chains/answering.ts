/** The part of a chain that this host has, when another one takes it. */

import { StasisError } from "../../ffi/error.ts";
import { SNAPSHOT_GATES, type Tcp } from "../../ffi/messages.ts";
import { discardSnapshot } from "../catalog/discard.ts";
import { storeOf } from "../catalog/home.ts";
import { isId } from "../catalog/names.ts";
import { exists } from "../catalog/tree.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { linksInto } from "../vne/holders.ts";
import type { Order } from "./elsewhere.ts";
import { Discarded, Line, silenceFor } from "./line.ts";
import { type ChainRecord, dropRecord, listChains, readRecord, replaceRecord } from "./records.ts";
import { settleStagings, Staging } from "./staging.ts";
import { Share } from "./taking.ts";

/**
 * Takes this host's part. Until all hosts have theirs, whatever goes wrong leaves the applications running and nothing behind. Then
 * the other host decides: where the connection breaks before its word has come, what was taken stays and waits for it, and the
 * applications run on.
 */
export async function takePart(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const order = orderIn(args);
  const { home } = session;
  settleStagings(home);
  const all = await session.applications();
  const members = all.filter((one) =>
    one.state === "running" && linksInto({ id: order.environment }, one).length > 0
  );
  using staging = Staging.open(home, order.chain);
  const share = new Share(session, staging, members, order.created, order);
  using line = new Line(talk, silenceFor(order.patience));
  await line.say({ members: share.members });
  if (members.length === 0) return { taken: [] };
  const { chain: id, created, of, tags } = order;
  const record: ChainRecord = { id, created, members: share.members, tags: [...tags], of };
  const taken = await share.take(async (gate) => {
    const last = gate === SNAPSHOT_GATES.saved;
    if (last) staging.commit({ ...record, pending: true });
    await line.say({ at: gate });
    await verdict(session, line, gate, last ? record : undefined);
  });
  return { taken };
}

/** Waits for the other host's word; `record` is of what stands already. */
async function verdict(session: Session, line: Line, gate: number, record?: ChainRecord): Promise<void> {
  try {
    await line.opened(gate);
  } catch (error) {
    if (record !== undefined && error instanceof Discarded) discard(session, record);
    throw error;
  }
  if (record !== undefined) replaceRecord(session.home, record);
}

function discard({ home }: Session, { id, members }: ChainRecord): void {
  dropRecord(home, id);
  for (const { snapshot } of members) {
    const dir = `${storeOf(home)}/${snapshot}`;
    if (exists(dir)) discardSnapshot(home, snapshot, dir);
  }
}

/** Which chains of another host wait here for its word. */
export function tellDoubts(session: Session, args: unknown): Promise<unknown> {
  const { of } = fieldsOf(args);
  const doubts = listChains(session.home).filter((one) => one.pending === true && one.of === of);
  return Promise.resolve(doubts.map(({ id }) => id));
}

/** The other host's word about those. */
export function hearVerdicts(session: Session, args: unknown): Promise<unknown> {
  const { of, keep } = fieldsOf(args);
  for (const [id, stands] of Object.entries(fieldsOf(keep))) {
    const record = isId(id) ? readRecord(session.home, id) : undefined;
    if (record?.pending !== true || record.of !== of) continue;
    const { pending: _pending, ...whole } = record;
    if (stands === true) replaceRecord(session.home, whole);
    else discard(session, record);
  }
  return Promise.resolve(null);
}

function orderIn(args: unknown): Order {
  const { chain, created, of, environment, stop, patience, tags, tcp } = fieldsOf(args);
  const sound = isText(chain) && isId(chain) && isText(created) && isText(of) && isText(environment) &&
    typeof stop === "boolean" && typeof patience === "number" && patience > 0 && Array.isArray(tags) &&
    tags.every(isText) && (tcp === undefined || isTcp(tcp));
  if (!sound) throw StasisError.of("usage", "Could not understand which chain another host means");
  return { chain, created, of, environment, stop, patience, tags, ...(tcp !== undefined && { tcp }) };
}

function isTcp(value: unknown): value is Tcp {
  return value === "keep" || value === "close";
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= 1024;
}
