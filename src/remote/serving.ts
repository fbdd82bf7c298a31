/** The other end of a conversation: answers what the host that has connected asks. */

import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { FrameReader, FrameWriter } from "./frames.ts";
import { gone, Inbox, type Talk, talkOver } from "./talk.ts";

/** Hosts understand each other when they have the same. */
export const PROTOCOL = 1;

/** Answers one kind of question. What it had begun and not committed it undoes when the other side is gone. */
export type Handler = (session: Session, args: unknown, talk: Talk) => Promise<unknown>;

export interface Wires {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
}

/** Answers one question after the other, until the other side is gone. */
export async function serve(
  session: Session,
  wires: Wires,
  handlers: ReadonlyMap<string, Handler>,
): Promise<void> {
  const reader = new FrameReader(wires.readable);
  const writer = new FrameWriter(wires.writable);
  await writer.value({ protocol: PROTOCOL, stasis: session.engine.version() });
  let inbox = new Inbox();
  let work = Promise.resolve();
  try {
    for (let frame = await reader.next(); frame !== undefined; frame = await reader.next()) {
      const question = "value" in frame ? questionIn(frame.value) : undefined;
      if (question !== undefined) {
        await work;
        inbox = new Inbox();
        work = answer(session, question, writer, inbox, handlers);
      } else {
        await inbox.put("value" in frame ? { value: said(frame.value) } : frame);
      }
    }
  } finally {
    inbox.end(gone("the host that had connected"));
    await work;
  }
}

interface Question {
  ask: string;
  args: unknown;
}

async function answer(
  session: Session,
  { ask, args }: Question,
  writer: FrameWriter,
  inbox: Inbox,
  handlers: ReadonlyMap<string, Handler>,
): Promise<void> {
  const reply = await result(session, { ask, args }, talkOver(writer, inbox), handlers);
  inbox.end(gone("the host that had connected"));
  // Nobody is there to hear it when it cannot be written.
  await writer.value(reply).catch(() => {});
}

async function result(
  session: Session,
  { ask, args }: Question,
  talk: Talk,
  handlers: ReadonlyMap<string, Handler>,
): Promise<unknown> {
  try {
    const handler = handlers.get(ask);
    if (handler === undefined) throw unknown(ask);
    return { answer: await handler(session, args, talk) ?? null };
  } catch (thrown) {
    return { fault: faultOf(thrown) };
  }
}

function unknown(ask: string): StasisError {
  return StasisError.of("usage", `Could not answer another host's question "${ask.slice(0, 80)}"`, {
    causes: ["this version of stasis does not know it"],
  });
}

function questionIn(value: unknown): Question | undefined {
  if (typeof value !== "object" || value === null || !("ask" in value)) return undefined;
  const { ask, args } = value as { ask: unknown; args?: unknown };
  return typeof ask === "string" ? { ask, args } : undefined;
}

function said(value: unknown): unknown {
  return typeof value === "object" && value !== null && "say" in value ? value.say : undefined;
}
