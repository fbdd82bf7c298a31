/** An environment as it is now, on all of its hosts. */

import type { Standing } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { describe, type EnvironmentCard } from "./environments.ts";
import { type Member, membersOf, withTraffic } from "./members.ts";
import { refreshed } from "./refreshing.ts";
import { type HostStanding, standingsOf } from "./standings.ts";

export interface Seen extends EnvironmentCard, Omit<Standing, "links"> {
  /** Those of this host. */
  members: Member[];
  /** Left out where the environment is on this host only. */
  hosts?: HostStanding[];
}

/** Looks at an environment, and asks its other hosts. */
export async function lookAt(session: Session, card: EnvironmentCard): Promise<Seen> {
  await refreshed(session, card);
  const { links, ...standing } = await session.perform("inspect_environment", {
    environment: describe(card),
  });
  const members = withTraffic(membersOf(card, await session.applications()), links);
  const hosts = await standingsOf(session, card, { present: standing.present, members });
  return { ...card, ...standing, members, ...(hosts.length > 0 && { hosts }) };
}
