/** The applications of an environment, and what went through their links. */

import type { Application, MemberLink, PublishedPort } from "../../ffi/messages.ts";
import { linksInto } from "./holders.ts";

export interface Member {
  aid: string;
  name: string;
  state: Application["state"];
  addresses: string[];
  /** Ports of its host that lead to it; left out when there are none. */
  published?: PublishedPort[];
  /** Of one that runs. */
  link?: MemberLink;
}

/** Those that run, and those that have ended and keep their address until they are removed or somebody needs it. */
export function membersOf(environment: { id: string }, applications: readonly Application[]): Member[] {
  return applications.flatMap((application) => {
    const { aid, name, state } = application;
    return linksInto(environment, application).map(({ addresses, published = [] }): Member => ({
      aid,
      name,
      state,
      addresses,
      ...(state === "running" && published.length > 0 && { published }),
    }));
  });
}

/** Adds to each member that runs what its link has carried. */
export function withTraffic(members: readonly Member[], links: readonly MemberLink[]): Member[] {
  return members.map((member) => {
    const link = links.find(({ addresses }) => addresses[0] === member.addresses[0]);
    return member.state === "running" && link !== undefined ? { ...member, link } : member;
  });
}
