/** Bringing a chain back where it was. */

import type { Restored } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { joinForRestore } from "../vne/joining.ts";
import type { ChainRecord } from "./records.ts";
import { restoreMembers, type Ways } from "./restoring.ts";

/** Restores all applications of a chain, each in the network that it was in. */
export async function restoreChain(session: Session, chain: ChainRecord, ways: Ways): Promise<Restored[]> {
  return await restoreMembers(
    session,
    chain.members,
    ways,
    (inspection) => joinForRestore(session, {}, inspection),
  );
}
