/** Whose address an application has that has come from another host. */

import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Lacking } from "../vne/claims.ts";
import { type EnvironmentCard, listEnvironments } from "../vne/environments.ts";
import { numberIn } from "../vne/holders.ts";
import { obtain } from "../vne/obtaining.ts";
import { has } from "../vne/shares.ts";
import { readSpan, selfOf } from "../vne/span.ts";
import type { Order } from "./order.ts";

/**
 * Has this host own the address from here on, as hosts do that an application runs on. Until then it is the other host's, which gives
 * it to nobody else while its record of the application is there. Returns what the user should know.
 */
export async function own(session: Session, { name, links }: Order): Promise<string[]> {
  const environments = listEnvironments(session.home);
  const notes: string[] = [];
  for (const { environment: { id }, addresses: [address = ""] } of links) {
    const card = environments.find((one) => one.id === id);
    if (card === undefined) continue;
    try {
      await ownIn(session, card, address);
    } catch (thrown) {
      const { message, causes = [] } = faultOf(thrown);
      notes.push(
        `"${name}" has the address ${address}, which this host does not own: ${
          [message, ...causes].join(": ")
        }`,
      );
    }
  }
  return notes;
}

async function ownIn(session: Session, card: EnvironmentCard, address: string): Promise<void> {
  const span = readSpan(session.home, card.name);
  const number = numberIn(card, address);
  if (span === undefined || number === undefined || has(selfOf(span).numbers, number)) return;
  const refusal = StasisError.of("other", `Could not get the address ${address}`);
  await obtain(session, card, new Lacking({ numbers: [[number, number]] }, refusal));
}
