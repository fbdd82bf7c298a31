/** What a host is told of an application that is to come to it. */

import { StasisError } from "../../ffi/error.ts";
import type { NetworkLink, Tcp } from "../../ffi/messages.ts";
import { checkName } from "../catalog/names.ts";
import type { Talk } from "../remote/talk.ts";

/** The name of the question. */
export const MOVE = "move";

/** What the folders are called on the way. */
export const FIRST = "first";
export const LAST = "last";

/** What the two hosts say to each other, in this order; between them go the folders. */
export const WORDS = {
  /** There: name, environment and address can be had. */
  ready: "ready",
  /** There: everything but what will have changed is here, and can be brought back. */
  prepared: "prepared",
  /** Here: it stands still, and what has changed follows. */
  coming: "coming",
  /** There: it is complete, and waits. */
  built: "built",
  /** Here: it is stopped; let it go on there. */
  go: "go",
} as const;

export interface Order {
  name: string;
  /** The environments that it is in, with its addresses. */
  links: NetworkLink[];
  tcp?: Tcp;
}

/** What came of it, once the other host has been told to let it go on: it lives, or does not, and may be there all the same. */
export type Outcome = { alive: Alive } | { failed: unknown; left: boolean };

export interface Alive {
  aid: string;
  pid: number;
  notes: string[];
  times: Times;
}

/** Milliseconds. */
export interface Times {
  /** Until what has changed was there. */
  received: number;
  /** Until it was complete. */
  built: number;
  /** From the word to its first instruction. */
  released: number;
}

/** Reads an order; what is in its links is looked at by those who make them. */
export function orderIn(value: unknown): Order {
  const { name, links, tcp } = isRecord(value) ? value : {};
  if (typeof name !== "string" || !Array.isArray(links) || !links.every(isLink)) throw senseless();
  if (tcp !== undefined && tcp !== "keep" && tcp !== "close") throw senseless();
  return { name: checkName(name), links, ...(tcp !== undefined && { tcp }) };
}

function isLink(value: unknown): value is NetworkLink {
  if (!isRecord(value) || !isRecord(value.environment)) return false;
  const { environment: { id, name, subnets }, addresses } = value;
  return [id, name].every((one) => typeof one === "string") && areTexts(subnets) && areTexts(addresses);
}

function areTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function senseless(): StasisError {
  return StasisError.of("usage", "Could not understand what is to be moved here");
}

/** Hears what came of it. */
export async function hearOutcome(talk: Talk): Promise<Outcome> {
  const heard = await talk.hear();
  const value = "value" in heard ? heard.value : undefined;
  if (!isRecord(value)) throw senseless();
  if ("failed" in value) return { failed: value.failed, left: value.left !== false };
  const { aid, pid, notes, times } = isRecord(value.alive) ? value.alive : {};
  if (typeof aid !== "string" || typeof pid !== "number") throw senseless();
  return { alive: { aid, pid, notes: textsIn(notes), times: timesIn(times) } };
}

/** What the other host adds in the end. */
export function notesIn(answer: unknown): string[] {
  return isRecord(answer) ? textsIn(answer.notes) : [];
}

function textsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function timesIn(value: unknown): Times {
  const times = isRecord(value) ? value : {};
  const of = (name: keyof Times) => typeof times[name] === "number" ? times[name] : 0;
  return { received: of("received"), built: of("built"), released: of("released") };
}
