/** The environment that the applications of a chain come back to. */

import { StasisError } from "../../ffi/error.ts";
import type { Environment, Inspection } from "../../ffi/messages.ts";
import { makePrivateFolder } from "../catalog/home.ts";
import type { Session } from "../session.ts";
import {
  addEnvironment,
  describe,
  dropEnvironment,
  type EnvironmentCard,
  listEnvironments,
} from "../vne/environments.ts";
import { Lock } from "../vne/files.ts";
import { joinForRestore, type Joining } from "../vne/joining.ts";
import { environmentsOf } from "../vne/ranges.ts";
import { parseSubnet } from "../vne/subnets.ts";
import type { Place } from "./restoring.ts";

/** An environment for members to come back to. Disposing of it removes one that was made for them, unless it is kept. */
export class Home implements AsyncDisposable {
  #kept = false;

  private constructor(readonly session: Session, readonly card: EnvironmentCard, readonly made: boolean) {}

  /** The environment as it was: the one that is there, or made anew. */
  static async former(session: Session, saved: Environment): Promise<Home> {
    const found = listEnvironments(session.home).find(({ id }) => id === saved.id);
    if (found !== undefined) return new Home(session, found, false);
    return new Home(session, await make(session, saved.name, saved), true);
  }

  keep(): void {
    this.#kept = true;
  }

  /** Each member has the address that it had, in this environment. */
  readonly place: Place = async (inspection: Inspection): Promise<Joining> => {
    const [saved] = inspection.links ?? [];
    const [address] = saved?.addresses ?? [];
    if (saved === undefined || address === undefined || saved.environment.id === this.card.id) {
      return await joinForRestore(this.session, {}, inspection);
    }
    return await joinForRestore(
      this.session,
      { vne: `${this.card.name}=${address}`, publish: [] },
      inspection,
    );
  };

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.made || this.#kept) return;
    using _deaf = this.session.interrupts.take(() => {});
    await this.session.perform("remove_environment", { environment: describe(this.card) });
    dropEnvironment(this.session.home, this.card.name);
  }
}

async function make(session: Session, name: string, saved: Environment): Promise<EnvironmentCard> {
  const { home } = session;
  makePrivateFolder(environmentsOf(home));
  using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
  const card = await addEnvironment(home, name, saved.subnets.map(parseSubnet), saved.outside);
  try {
    await session.perform("make_environment", { environment: describe(card) });
  } catch (error) {
    dropEnvironment(home, name);
    throw error;
  }
  return card;
}

/** For a chain of applications that were in no environment, or not in one as a whole. */
export function withoutEnvironment(id: string): StasisError {
  return StasisError.of("usage", `Could not bring an environment back from the chain ${id}`, {
    causes: ["it was not taken of an environment"],
    hint: `Bring its applications back where they were: stasis restore ${id}`,
  });
}
