/** Chains of this host that another one has its part of, without having heard whether they stand. */

import type { Conversation } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { isId } from "../catalog/names.ts";
import { readRecord } from "./records.ts";

/** Tells the other host which of its doubtful chains stand: those that there is a record of here. `of`: what this host is called. */
export async function settleDoubts(session: Session, there: Conversation, of: string): Promise<void> {
  const doubts = await there.ask("chain-doubts", { of });
  if (!Array.isArray(doubts) || doubts.length === 0) return;
  const ids = doubts.filter((id): id is string => typeof id === "string" && isId(id));
  const keep = Object.fromEntries(ids.map((id) => [id, readRecord(session.home, id) !== undefined]));
  await there.ask("chain-verdicts", { of, keep });
}
