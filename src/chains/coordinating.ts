/** Taking a chain as the one who says when. */

import { type Fault, StasisError } from "../../ffi/error.ts";
import { type Application, type Environment, SNAPSHOT_GATES } from "../../ffi/messages.ts";
import { newId } from "../catalog/names.ts";
import { Conversation, type Peer } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { settleDoubts } from "./doubts.ts";
import { type Order, takeElsewhere } from "./elsewhere.ts";
import type { ChainMember, ChainRecord } from "./records.ts";
import { Rendezvous } from "./rendezvous.ts";
import { settleStagings, Staging } from "./staging.ts";
import { type Manner, type Part, Share } from "./taking.ts";

/** An environment that is captured as a whole, and where else it is. */
export interface Whole {
  environment: Environment;
  /** What this host is called there. */
  self: string;
  others: readonly { name: string; peer: Peer }[];
}

/** A chain that stands, and what was taken of this host. */
export interface TakenChain {
  record: ChainRecord;
  parts: Part[];
  /** Hosts that could not be told any more that the chain stands. */
  untold: { host: string; fault: Fault }[];
}

/**
 * Takes a chain. It stands from the moment that its record is written, when all snapshots are complete and on disk; before that,
 * whatever goes wrong leaves all applications running and nothing behind.
 */
export async function takeChain(
  session: Session,
  applications: readonly Application[],
  manner: Manner,
  whole?: Whole,
): Promise<TakenChain> {
  settleStagings(session.home);
  const created = new Date().toISOString();
  using staging = Staging.open(session.home, newId());
  const share = new Share(session, staging, applications, created, manner);
  const taking = new Taking(session, share, whole);
  return await taking.take(manner);
}

class Taking {
  readonly #elsewhere = new Map<string, ChainMember[]>();
  #record: ChainRecord | undefined;

  constructor(readonly session: Session, readonly share: Share, readonly whole: Whole | undefined) {}

  async take(manner: Manner): Promise<TakenChain> {
    await using there = new AsyncDisposableStack();
    const others = await this.#reach(there);
    const rendezvous = new Rendezvous(others.length + 1, (gate) => this.#at(gate));
    const [own, ...theirs] = await Promise.allSettled([
      this.#takeOwn(rendezvous),
      ...others.map(({ conversation, name }) => {
        const order = this.#order(manner);
        return takeElsewhere(
          conversation,
          order,
          rendezvous,
          (members) => void this.#elsewhere.set(name, members),
        );
      }),
    ]);
    const record = this.#record;
    if (rendezvous.failure !== undefined && record === undefined) throw rendezvous.failure.error;
    if (own.status === "rejected") throw own.reason;
    if (record === undefined) throw nobody();
    const untold = theirs.flatMap((one, index) => {
      if (one.status === "fulfilled") return [];
      return [{ host: others[index]?.name ?? "", fault: faultOf(one.reason) }];
    });
    return { record, parts: own.value, untold };
  }

  /** All of them, before anybody is stopped. */
  async #reach(
    there: AsyncDisposableStack,
  ): Promise<{ name: string; conversation: Conversation }[]> {
    const { session, whole } = this;
    if (whole === undefined) return [];
    const reached = await Promise.allSettled(
      whole.others.map(async ({ name, peer }) => {
        const conversation = there.use(await Conversation.open(session, peer));
        await settleDoubts(session, conversation, whole.self);
        return { name, conversation };
      }),
    );
    return reached.map((one) => {
      if (one.status === "rejected") throw one.reason;
      return one.value;
    });
  }

  async #takeOwn(rendezvous: Rendezvous): Promise<Part[]> {
    if (this.share.members.length === 0) {
      rendezvous.withdraw();
      return [];
    }
    try {
      return await this.share.take((gate) => rendezvous.meet(gate));
    } catch (error) {
      rendezvous.fail(error);
      throw error;
    }
  }

  /** At the last gate everything is complete everywhere, and the record makes the chain stand. */
  #at(gate: number): void {
    if (gate !== SNAPSHOT_GATES.saved) return;
    const { share, whole } = this;
    const elsewhere = [...this.#elsewhere].flatMap(([host, members]) =>
      members.map((one) => ({ ...one, host }))
    );
    const record: ChainRecord = {
      id: share.staging.id,
      created: share.created,
      members: [...share.members, ...elsewhere],
      tags: [...share.manner.tags],
      ...(whole !== undefined && { environment: whole.environment }),
    };
    share.staging.commit(record);
    this.#record = record;
  }

  #order({ stop, patience, tags, tcp }: Manner): Order {
    const { share, whole } = this;
    return {
      chain: share.staging.id,
      created: share.created,
      of: whole?.self ?? "",
      environment: whole?.environment.id ?? "",
      stop,
      patience,
      tags,
      ...(tcp !== undefined && { tcp }),
    };
  }
}

function nobody(): StasisError {
  return StasisError.of("no_target", "Could not take a snapshot of the environment", {
    causes: ["no application runs in it, on any of its hosts"],
  });
}
