/** Applications that are about to become members of an environment, and the names by which they are found. */

import type { Home, Inspection, Network, NetworkLink } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { dropArrivals, type Named, noteArrivals } from "./arrivals.ts";
import { type EnvironmentCard, folderOf, listEnvironments } from "./environments.ts";
import { hostNameOf } from "./hostnames.ts";
import { lockNames, refreshNames } from "./names.ts";

/** What the capsule's helper covers. */
const HOSTS = "/etc/hosts";

/** An application that is about to be made; without a name, the engine chooses one. */
export interface Newcomer {
  name?: string | undefined;
  hostname?: string | undefined;
  network?: Network | undefined;
}

/** The host name of a member, where it is given none: its name, as far as that is one. */
export function memberHostname(network: Network | undefined, name: string): { hostname?: string } {
  const hostname = linksOf(network).length === 0 ? undefined : hostNameOf(name);
  return hostname === undefined ? {} : { hostname };
}

/**
 * The host name of a member that comes back: the one that it was given once. Where it was called like itself, and where it was
 * no member, it is called like itself now.
 */
export function returningHostname(
  network: Network | undefined,
  name: string | undefined,
  { label, hostname, links = [] }: Pick<Inspection, "label" | "hostname" | "links">,
): { hostname?: string } {
  if (name === undefined) return {};
  const former = label?.name === undefined ? undefined : hostNameOf(label.name);
  const wasGiven = links.length > 0 && hostname !== undefined && hostname !== "" && hostname !== former;
  return wasGiven ? {} : memberHostname(network, name);
}

/**
 * Makes applications that members of their environment find by name from the beginning, and that find themselves. What was
 * written is taken back where they are not made: all of them, unless `isComplete` says otherwise.
 */
export async function withNames<T>(
  session: Session,
  newcomers: readonly Newcomer[],
  make: () => Promise<T>,
  isComplete: (made: T) => boolean = () => newcomers.every(({ name }) => name !== undefined),
): Promise<T> {
  const places = placesOf(session.home, newcomers);
  if (places.length === 0) return await make();
  requireHostsFile(session);
  for (const place of places) await announce(session, place);
  let isDone = false;
  try {
    const made = await make();
    isDone = isComplete(made);
    return made;
  } finally {
    for (const place of places) await settle(session, place, isDone);
  }
}

/** An application of such a network is no more: others do not find it. */
export async function forgetNames(session: Session, network: Network): Promise<void> {
  for (const { environment } of placesOf(session.home, [{ network }])) {
    await orTell(session, environment, () => refreshNames(session, environment));
  }
}

/** One environment, and who comes there. */
interface Place {
  environment: EnvironmentCard;
  arrivals: Named[];
}

function placesOf(home: Home, newcomers: readonly Newcomer[]): Place[] {
  const places: Place[] = [];
  const cards = newcomers.some(({ network }) => idsOf(network).length > 0) ? listEnvironments(home) : [];
  for (const environment of cards) {
    const here = newcomers.filter(({ network }) => idsOf(network).includes(environment.id));
    const arrivals = here.flatMap(({ name, hostname, network }) => {
      if (name === undefined) return [];
      return [{
        name,
        ...(hostname !== undefined && { hostname }),
        addresses: addressesIn(environment, network),
      }];
    });
    if (here.length > 0) places.push({ environment, arrivals });
  }
  return places;
}

function linksOf(network: Network | undefined): NetworkLink[] {
  return network === undefined || network === "host" ? [] : network.own.links ?? [];
}

function idsOf(network: Network | undefined): string[] {
  return linksOf(network).map(({ environment }) => environment.id);
}

function addressesIn({ id }: EnvironmentCard, network: Network | undefined): string[] {
  return linksOf(network).filter(({ environment }) => environment.id === id).flatMap((one) => one.addresses);
}

/** Those who come are listed before there is anything of them. */
async function announce(session: Session, { environment, arrivals }: Place): Promise<void> {
  await refreshNames(session, environment, (folder) => noteArrivals(folder, arrivals));
}

/** Those who have come have records; whatever was to come and has not is listed no more. */
async function settle(session: Session, { environment, arrivals }: Place, isDone: boolean): Promise<void> {
  const drop = (folder: string) => dropArrivals(folder, arrivals);
  await orTell(session, environment, async () => {
    if (!isDone) return await refreshNames(session, environment, drop);
    const folder = folderOf(session.home, environment.name);
    using _lock = await lockNames(folder);
    drop(folder);
  });
}

/** What was done is done, and what came to nothing has an error of its own. */
async function orTell(
  session: Session,
  environment: EnvironmentCard,
  change: () => Promise<void>,
): Promise<void> {
  try {
    await change();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    session.output.talk(`  note: the names in the environment "${environment.name}" may be old ones: ${why}`);
  }
}

/** A host may have none; then an empty one is made for members' own to cover. */
function requireHostsFile({ output }: Session): void {
  try {
    Deno.openSync(HOSTS, { write: true, createNew: true, mode: 0o644 }).close();
    output.talk(`  note: the empty file ${HOSTS} was made on the host, for the names of members to cover`);
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    const why = error instanceof Error ? error.message : String(error);
    output.talk(`  note: members find nobody by name, since there is no file ${HOSTS} on the host: ${why}`);
  }
}
