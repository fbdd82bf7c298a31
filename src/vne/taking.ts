/** Taking addresses for applications that are about to be made, and the ways that lead from there to other hosts. */

import { StasisError } from "../../ffi/error.ts";
import type { Network, NetworkLink } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { Claims, Lacking } from "./claims.ts";
import type { EnvironmentCard } from "./environments.ts";
import { raise, requireAllowed } from "./hosts.ts";
import { obtain } from "./obtaining.ts";
import { refreshed } from "./refreshing.ts";
import { readSpan } from "./span.ts";

/** The networks of applications that are about to be made. Dispose of it when they are, or came to nothing. */
export class Joining implements Disposable {
  constructor(readonly networks: readonly (Network | undefined)[], readonly claims?: Claims) {}

  /** The part of a request that says which network the application is on. */
  get request(): { network?: Network } {
    const [network] = this.networks;
    return network === undefined ? {} : { network };
  }

  /** The address of each, where they have one. */
  get addresses(): string[] {
    return this.networks.flatMap((network) => {
      const links = network === undefined || network === "host" ? [] : network.own.links ?? [];
      return links.slice(0, 1).flatMap(({ addresses }) => addresses.slice(0, 1));
    });
  }

  [Symbol.dispose](): void {
    this.claims?.[Symbol.dispose]();
  }
}

/**
 * Takes addresses, those that other hosts own once these have given them. Where the environment is on several hosts, the ways to
 * them are made. With `yields`, `take` is told when others do not give what it wanted, and may take something else.
 */
export async function join(
  session: Session,
  environment: EnvironmentCard,
  take: (claims: Claims, refusal?: StasisError) => NetworkLink[],
  yields = false,
): Promise<Joining> {
  const span = await refreshed(session, environment);
  if (span !== undefined) requireAllowed(environment.name, span);
  let refusal: StasisError | undefined;
  for (;;) {
    const taken = await attempt(session, environment, (claims) => take(claims, refusal));
    if (!(taken instanceof Lacking)) return await onAllHosts(session, environment, taken);
    refusal = await asked(session, environment, taken, yields && refusal === undefined) ?? refusal;
  }
}

/** Takes addresses; what lacks is returned, and nobody waits meanwhile. */
async function attempt(
  session: Session,
  environment: EnvironmentCard,
  take: (claims: Claims) => NetworkLink[],
): Promise<Joining | Lacking> {
  const claims = await Claims.open(session, environment);
  try {
    const links = take(claims);
    claims.settle();
    return new Joining(links.map((link) => ({ own: { links: [link] } })), claims);
  } catch (thrown) {
    claims[Symbol.dispose]();
    if (thrown instanceof Lacking) return thrown;
    throw thrown;
  }
}

/** Gets what lacks from other hosts; where that `yields`, their refusal is returned. */
async function asked(
  session: Session,
  environment: EnvironmentCard,
  lacking: Lacking,
  yields: boolean,
): Promise<StasisError | undefined> {
  try {
    await obtain(session, environment, lacking);
    return undefined;
  } catch (error) {
    if (!yields || !(error instanceof StasisError) || !("numbers" in lacking.want)) throw error;
    const { message, causes = [] } = error.fault;
    session.output.talk(`  note: it gets another address: ${[message, ...causes].join(": ")}`);
    return error;
  }
}

/** The ways to other hosts are there before the first packet is sent. */
async function onAllHosts(
  session: Session,
  environment: EnvironmentCard,
  joining: Joining,
): Promise<Joining> {
  try {
    if (readSpan(session.home, environment.name) !== undefined) await raise(session, environment);
    return joining;
  } catch (error) {
    joining[Symbol.dispose]();
    throw error;
  }
}
