/** Making an environment on several hosts: wholly, or on none of them. */

import { StasisError } from "../../ffi/error.ts";
import { makePrivateFolder } from "../catalog/home.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import {
  addEnvironment,
  cardIn,
  checkNew,
  describe,
  dropEnvironment,
  type EnvironmentCard,
} from "./environments.ts";
import { Lock } from "./files.ts";
import { makingOf } from "./hosts.ts";
import { recordIn, senseless } from "./questions.ts";
import { environmentsOf } from "./ranges.ts";
import { isText, selfOf, type Span, spanIn, writeSpan } from "./span.ts";
import { awaitGo } from "./together.ts";
import { linkMtu } from "./underlay.ts";

/** Makes an environment on this host. When the kernel refuses it, nothing of it is left. */
export async function establish(session: Session, card: EnvironmentCard, span?: Span): Promise<void> {
  const { home } = session;
  makePrivateFolder(environmentsOf(home));
  using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
  addEnvironment(home, card);
  try {
    if (span !== undefined) writeSpan(home, card.name, span);
    await session.perform("make_environment", makingOf(card, span));
  } catch (error) {
    dropEnvironment(home, card.name);
    throw error;
  }
}

/** Takes back what `establish` has made. */
export async function abolish(session: Session, card: EnvironmentCard): Promise<void> {
  const { home } = session;
  using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
  await session.perform("remove_environment", { environment: describe(card) });
  dropEnvironment(home, card.name);
}

/** Answers whether an environment could be made here, and how large a packet may be. */
export async function lookAhead(session: Session, args: unknown): Promise<unknown> {
  const { environment, address } = recordIn(args);
  if (!isText(address)) throw senseless();
  checkNew(session.home, await cardIn(environment));
  return { mtu: linkMtu(address) };
}

/** Makes an environment that another host makes on several; it stays once that says that it is on all of them. */
export async function adopt(session: Session, args: unknown, talk: Talk): Promise<unknown> {
  const { environment, span: sent } = recordIn(args);
  const card = await cardIn(environment);
  const span = spanIn(sent);
  if (span === undefined) throw senseless();
  linkMtu(selfOf(span).address);
  await establish(session, card, span);
  try {
    await awaitGo(talk, "made");
  } catch (error) {
    await abolish(session, card);
    throw error;
  }
  return {};
}

/** An environment that cannot be made, since one of its hosts cannot. */
export function notEverywhere(card: EnvironmentCard, thrown: unknown): StasisError {
  const fault = faultOf(thrown);
  return new StasisError({
    ...fault,
    message: `Could not create the environment "${card.name}"`,
    causes: [fault.message, ...fault.causes ?? []],
    aftermath: "It was made on no host",
  });
}
