/** What a picture of environments shows. */

import type { Picture, PictureApplication, PictureEnvironment, PictureHost } from "../ui/picture.ts";
import type { Seen } from "./looking.ts";
import type { Member } from "./members.ts";
import type { NamedMember } from "./names.ts";

/** An environment with its hosts. */
export interface Sitter extends Pick<Seen, "name" | "subnets" | "outside" | "members" | "hosts"> {
  encrypted: boolean;
  /** What other hosts have told last, by their names. */
  known?: ReadonlyMap<string, readonly NamedMember[]>;
}

/** What a picture shows of a member. */
type Shown = Pick<Member, "name" | "state" | "addresses" | "published">;

interface Host extends PictureHost {
  members: Shown[];
}

/** Puts environments into one picture. Hosts are told apart by their names; `here` is the name of this one where nobody else has it. */
export function portrait(sitters: readonly Sitter[], here: string): Picture {
  const own = sitters.flatMap(({ hosts = [] }) => hosts).find(({ self }) => self)?.name ?? here;
  const sitting = sitters.map((sitter) => ({ sitter, hosts: hostsOf(sitter, own) }));
  const known = new Map<string, PictureHost>();
  for (const { members: _, ...host } of sitting.flatMap(({ hosts }) => hosts)) {
    known.set(host.name, { ...host, ...merged(known.get(host.name), host) });
  }
  return {
    environments: sitting.map(({ sitter, hosts }) => environmentIn(sitter, hosts)),
    hosts: [...known.values()],
    applications: sitting.flatMap(({ sitter, hosts }) =>
      hosts.flatMap((host) => host.members.map((member) => applicationIn(sitter.name, host.name, member)))
    ),
  };
}

function hostsOf({ hosts = [], members, known }: Sitter, own: string): Host[] {
  if (hosts.length === 0) return [{ name: own, here: true, reachable: true, members }];
  return hosts.map(({ name, address, self, members, unreachable }) => ({
    name,
    address,
    here: self,
    reachable: unreachable === undefined,
    members: members ?? known?.get(name)?.map(formerly) ?? [],
  }));
}

/** A host that answered for one environment can be reached; it has its address in those that span hosts. */
function merged(known: PictureHost | undefined, host: PictureHost): Partial<PictureHost> {
  const address = known?.address ?? host.address;
  const reachable = known?.reachable === true || host.reachable;
  return { reachable, ...(address !== undefined && { address }) };
}

function formerly({ name, addresses, running }: NamedMember): Shown {
  return { name, addresses, state: running ? "running" : "exited" };
}

function environmentIn(
  { name, subnets, outside, encrypted }: Sitter,
  hosts: readonly Host[],
): PictureEnvironment {
  return { name, ranges: [...subnets], outside, encrypted, hosts: hosts.map((host) => host.name) };
}

function applicationIn(environment: string, host: string, member: Shown): PictureApplication {
  const { name, addresses, state, published = [] } = member;
  const ports = published.map(({ protocol, port, host }) => ({ protocol, port, host }));
  return { name, host, environment, addresses, running: state === "running", published: ports };
}
