/** The part of a chain that another host has, as the host that takes it sees it. */

import { SNAPSHOT_GATES, type Tcp } from "../../ffi/messages.ts";
import type { Conversation } from "../remote/conversation.ts";
import { Line, silenceFor } from "./line.ts";
import { type ChainMember, isMember } from "./records.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** What the other host is asked for. */
export interface Order {
  chain: string;
  /** ISO 8601. */
  created: string;
  /** Who asks, and has the whole record. */
  of: string;
  /** The id of the environment whose members are meant. */
  environment: string;
  stop: boolean;
  /** In ms. */
  patience: number;
  tags: readonly string[];
  tcp?: Tcp;
}

const GATES = Object.values(SNAPSHOT_GATES);

/** Has the other host take its part. `note` hears who is there before any of them is stopped. */
export async function takeElsewhere(
  there: Conversation,
  order: Order,
  rendezvous: Rendezvous,
  note: (members: ChainMember[]) => void,
): Promise<void> {
  await there.ask("chain-take", order, async (talk) => {
    using line = new Line(talk, silenceFor(order.patience));
    try {
      const members = membersIn(await line.members());
      note(members);
      if (members.length === 0) return rendezvous.withdraw();
      await follow(line, GATES, rendezvous);
    } catch (error) {
      rendezvous.fail(error);
      await line.say({ discard: true }).catch(() => {});
      throw error;
    }
  });
}

/** Has the other host pass each gate when all parts stand there. */
export async function follow(line: Line, gates: readonly number[], rendezvous: Rendezvous): Promise<void> {
  const failure = line.failure();
  failure.catch(() => {});
  for (const gate of gates) {
    await line.at(gate);
    await Promise.race([rendezvous.meet(gate), failure]);
    await line.say({ open: gate });
  }
}

/** At most so many applications does another host name. */
const MOST_MEMBERS = 10_000;

function membersIn(value: unknown): ChainMember[] {
  if (!Array.isArray(value) || value.length > MOST_MEMBERS || !value.every(isMember)) return [];
  return value.map(({ name, aid, snapshot }) => ({ name, aid, snapshot }));
}
