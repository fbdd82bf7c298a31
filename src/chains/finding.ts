/** What a user means by the id of a chain. */

import { StasisError } from "../../ffi/error.ts";
import { parseReference } from "../catalog/snapshots.ts";
import type { Session } from "../session.ts";
import { type ChainRecord, listChains } from "./records.ts";

/** The chain that a word means: an id, or the beginning of one that no other chain and no snapshot has. */
export async function chainMeant(session: Session, given: string): Promise<ChainRecord | undefined> {
  const reference = parseReference(given);
  if (!("id" in reference) || given === "") return undefined;
  const chains = listChains(session.home);
  const exact = chains.find(({ id }) => id === given);
  const begun = exact === undefined ? chains.filter(({ id }) => id.startsWith(given)) : [exact];
  const [found] = begun;
  if (found === undefined || found === exact) return found;
  const snapshots = (await session.snapshots()).filter(({ id }) => id.startsWith(given));
  if (snapshots.some(({ id }) => id === given)) return undefined;
  if (begun.length + snapshots.length === 1) return found;
  const ids = [...begun.map(({ id }) => `${id} (a chain)`), ...snapshots.map(({ id }) => id)];
  throw StasisError.of("usage", `Could not tell what "${given}" is`, {
    causes: [`it may be any of ${ids.join(", ")}`],
    hint: "Give more digits",
  });
}

/** The same where nothing else will do. */
export async function findChain(session: Session, given: string): Promise<ChainRecord> {
  const found = await chainMeant(session, given);
  if (found !== undefined) return found;
  throw StasisError.of("no_target", `Could not find a chain "${given}"`, {
    hint: '"stasis snapshots" tells which snapshots are of a chain; "stasis vne snapshot" takes one',
  });
}
