/** The applications of a chain that come back on this host, when another one brings it back. */

import { StasisError } from "../../ffi/error.ts";
import type { Restored } from "../../ffi/messages.ts";
import { isId } from "../catalog/names.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { listEnvironments } from "../vne/environments.ts";
import { placeIn } from "./environment.ts";
import { Line } from "./line.ts";
import { isMember } from "./records.ts";
import { removeAll, restoreMembers, type Ways } from "./restoring.ts";

/** How long the other host may say nothing, in ms. */
const SILENCE = 10_000;

/** Brings this host's part back. Until all hosts have theirs linked, whatever goes wrong leaves nothing behind. */
export async function bringPart(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const { members, prefix, tcp, environment } = fieldsOf(args);
  const sound = Array.isArray(members) && members.every(isMember) && typeof environment === "string" &&
    (prefix === undefined || typeof prefix === "string") &&
    (tcp === undefined || tcp === "keep" || tcp === "close");
  if (!sound) throw StasisError.of("usage", "Could not understand which chain another host means");
  const card = listEnvironments(session.home).find(({ id }) => id === environment);
  if (card === undefined) {
    throw StasisError.of("no_target", "Could not find the environment that the chain comes back to");
  }
  const ways: Ways = {
    ...(typeof prefix === "string" && { prefix }),
    ...((tcp === "keep" || tcp === "close") && { tcp }),
  };
  using line = new Line(talk, SILENCE);
  return await restoreMembers(session, members, ways, placeIn(session, card), async (gate) => {
    await line.say({ at: gate });
    await line.opened(gate);
  });
}

/** Ends and forgets applications that have come back while others could not. Answers with what is left. */
export async function undoPart(session: Session, args: unknown): Promise<unknown> {
  const { aids } = fieldsOf(args);
  const given = Array.isArray(aids)
    ? aids.filter((aid): aid is string => typeof aid === "string" && isId(aid))
    : [];
  return await removeAll(session, given.map((aid): Restored => ({ aid, pid: 0, total_us: 0 })));
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}
