/** The applications of an environment, and what went through their links. */

import type { Application, MemberLink } from "../../ffi/messages.ts";
import { linksInto } from "./holders.ts";

export interface Member {
  aid: string;
  name: string;
  state: Application["state"];
  addresses: string[];
  /** Of one that runs. */
  link?: MemberLink;
}

/** Those that run, and those that have ended and keep their address until they are removed or somebody needs it. */
export function membersOf(environment: { id: string }, applications: readonly Application[]): Member[] {
  return applications.flatMap((application) => {
    const { aid, name, state } = application;
    return linksInto(environment, application).map(({ addresses }) => ({ aid, name, state, addresses }));
  });
}

/** Adds to each member that runs what its link has carried. */
export function withTraffic(members: readonly Member[], links: readonly MemberLink[]): Member[] {
  return members.map((member) => {
    const link = links.find(({ addresses }) => addresses[0] === member.addresses[0]);
    return member.state === "running" && link !== undefined ? { ...member, link } : member;
  });
}
