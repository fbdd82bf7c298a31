/** Which network an application gets: a place in an environment, the host's, or none. */

import { Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Environment, Inspection, NetworkLink, PublishedPort } from "../../ffi/messages.ts";
import { type NetworkName, networkOf } from "../network.ts";
import type { Session } from "../session.ts";
import type { Claims } from "./claims.ts";
import { type EnvironmentCard, findEnvironment, listEnvironments } from "./environments.ts";
import { parsePublished, publish, publishedBy, requireUnpublished } from "./publishing.ts";
import { join, Joining } from "./taking.ts";

/** What the command line says about an application's network. */
export interface Wish {
  /** `--vne`. */
  vne?: string | undefined;
  /** `--network`. */
  network?: NetworkName | undefined;
  /** `--publish`. */
  publish?: string[] | undefined;
}

/** `--vne`, of every command that makes an application live. */
export function vneOption(): Option<
  "--vne <NAME[=ADDR]>",
  undefined,
  undefined,
  undefined,
  false,
  undefined
> {
  return new Option(
    "--vne <NAME[=ADDR]>",
    "a place in the virtual network environment NAME, at ADDR or the next free address",
  );
}

/** For an application that starts: the host's network, where nothing is said. */
export async function joinForRun(session: Session, wish: Wish): Promise<Joining> {
  const ports = parsePublished(wish.publish ?? []);
  const joining = await placeForRun(session, wish);
  return await publishing(session, joining, () => ports);
}

/** Adds the ports of the host that lead to each; the addresses are free again where that is refused. */
async function publishing(
  session: Session,
  joining: Joining,
  portsOf: (index: number) => readonly PublishedPort[],
): Promise<Joining> {
  try {
    const networks = joining.networks.map((network, index) => publish(network, portsOf(index)));
    if (networks.some((network) => network !== undefined && publishedBy({ network }).length > 0)) {
      requireUnpublished(networks, await session.applications());
    }
    return new Joining(networks, joining.claims);
  } catch (error) {
    joining[Symbol.dispose]();
    throw error;
  }
}

async function placeForRun(session: Session, wish: Wish): Promise<Joining> {
  const place = placeOf(wish);
  if (place === undefined) return new Joining([networkOf(wish.network).network]);
  return await join(
    session,
    findEnvironment(session.home, place.name),
    (claims) => [claims.take(place.address)],
  );
}

/** For an application that comes back: the network that it had, at the same address and ports of the host, where nothing is said. */
export async function joinForRestore(
  session: Session,
  wish: Wish,
  inspection: Pick<Inspection, "links">,
): Promise<Joining> {
  const joining = await placeForRestore(session, wish, inspection);
  const inEnvironment = joining.addresses.length > 0;
  const saved = inEnvironment ? inspection.links?.[0]?.published ?? [] : [];
  const ports = wish.publish === undefined ? saved : parsePublished(wish.publish);
  return await publishing(session, joining, () => ports);
}

/** For an application that comes from another host, which runs it with its address until it is here. */
export async function joinForMove(
  session: Session,
  { links: [link] }: { links: readonly NetworkLink[] },
): Promise<Joining> {
  if (link === undefined) return new Joining([undefined]);
  const environment = environmentOf(session, link.environment);
  const [address = ""] = link.addresses;
  const joining = await join(session, environment, (claims) => [claims.takeEntrusted(address)]);
  return await publishing(session, joining, () => link.published ?? []);
}

async function placeForRestore(
  session: Session,
  wish: Wish,
  { links = [] }: Pick<Inspection, "links">,
): Promise<Joining> {
  const [saved] = links;
  const place = placeOf(wish);
  if (place === undefined && (wish.network !== undefined || saved === undefined)) {
    return new Joining([networkOf(wish.network).network]);
  }
  const environment = place === undefined
    ? environmentOf(session, saved?.environment)
    : findEnvironment(session.home, place.name);
  const [former] = saved?.environment.id === environment.id ? saved.addresses : [];
  if (place === undefined) return await join(session, environment, (claims) => [claims.take(former)]);
  const wanted = place.address ?? former;
  return await join(session, environment, (claims, refusal) => {
    const keeps = wanted === place.address || (wanted !== undefined && claims.isFree(wanted));
    return [claims.take(keeps && refusal === undefined ? wanted : place.address)];
  }, place.address === undefined);
}

/** What rules say about the places of clones: an environment, and addresses there. */
export interface Places {
  vne?: string;
  addresses: readonly (string | undefined)[];
}

/**
 * For clones: the environment that the command line names, else that of the rules, else that of what they are clones of, at
 * addresses of their own.
 */
export async function joinForClones(
  session: Session,
  wish: Wish,
  saved: Environment | undefined,
  count: number,
  ruled: Places = { addresses: [] },
): Promise<Joining> {
  const place = placeOf(wish);
  const isRuled = place === undefined && wish.network === undefined &&
    (ruled.vne !== undefined || ruled.addresses.some((one) => one !== undefined));
  if (place === undefined && !isRuled && (wish.network !== undefined || saved === undefined)) {
    const { network } = networkOf(wish.network);
    return new Joining(Array.from({ length: count }, () => network));
  }
  const name = place?.name ?? (isRuled ? ruled.vne : undefined);
  if (name === undefined && saved === undefined) throw addressWithoutEnvironment();
  const environment = name === undefined
    ? environmentOf(session, saved)
    : findEnvironment(session.home, name);
  return await join(
    session,
    environment,
    (claims) => isRuled ? takeRuled(claims, count, ruled) : claims.takeMany(count, place?.address),
  );
}

/** Those that have an address by the rules come first: the others get what is free then. */
function takeRuled(claims: Claims, count: number, { addresses }: Places): NetworkLink[] {
  claims.require(addresses.filter((one) => one !== undefined));
  const asked = addresses.map((address) => address === undefined ? undefined : claims.take(address));
  return Array.from({ length: count }, (_, index) => asked[index] ?? claims.take());
}

function addressWithoutEnvironment(): StasisError {
  return StasisError.of("usage", "Could not give clones the addresses of the rules", {
    causes: ["neither the rules nor the command line name an environment, and the snapshot was in none"],
    hint: 'Set "vne" in the rules, or use --vne',
  });
}

/** Reads `NAME` or `NAME=ADDR`. */
function placeOf({ vne, network }: Wish): { name: string; address?: string } | undefined {
  if (vne === undefined) return undefined;
  if (network !== undefined) {
    throw StasisError.of("usage", "Could not use --vne and --network together", {
      causes: ["an application in an environment has a network namespace of its own"],
    });
  }
  const at = vne.indexOf("=");
  return at < 0 ? { name: vne } : { name: vne.slice(0, at), address: vne.slice(at + 1) };
}

/** The environment that an application was in; another host has it under the same id. */
function environmentOf(session: Session, saved: Environment | undefined): EnvironmentCard {
  const found = listEnvironments(session.home).find(({ id }) => id === saved?.id);
  if (found !== undefined) return found;
  const { name, subnets } = saved ?? { name: "", subnets: [] };
  const ranges = subnets.map((subnet) => ` --subnet ${subnet}`).join("");
  throw StasisError.of(
    "no_target",
    `Could not find the environment "${name}", which the application was in`,
    {
      causes: [`no environment here has this name and ${subnets.join(" and ")}`],
      hint:
        `Make it (stasis vne create ${name}${ranges}), or join it where another host has it (stasis vne join ${name} --peer HOST); or name another with --vne, or use --network none`,
    },
  );
}
