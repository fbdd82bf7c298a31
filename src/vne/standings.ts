/** How an environment stands on each of its hosts, for whoever looks at it. */

import type { Session } from "../session.ts";
import { describe, type EnvironmentCard } from "./environments.ts";
import { converseWithAll, type Heard } from "./hosts.ts";
import { type Member, membersOf } from "./members.ts";
import { reasonOf } from "./meeting.ts";
import { answering, ask, isFromGone, understand } from "./questions.ts";
import { countOf, type Numbers } from "./shares.ts";
import { byName, isBanished, isRecord, isText, readSpan, selfOf, type Span } from "./span.ts";

/** How long other hosts may take to answer, in ms. */
const PATIENCE = 5000;

/** One host of an environment, as it is shown. */
export interface HostStanding {
  name: string;
  address: string;
  self: boolean;
  /** The numbers that it hands out, and how many they are. */
  numbers: Numbers;
  count: number;
  /** Why nothing more is known of it. */
  unreachable?: string;
  /** Whether all of the environment is there. */
  present?: boolean;
  members?: Member[];
}

/** Answers a host that shows the environment. */
export async function standing(session: Session, args: unknown): Promise<unknown> {
  const asked = await understand(session, args);
  const { card } = asked;
  if (isFromGone(asked)) return answering(session, card);
  const { present } = await session.perform("inspect_environment", { environment: describe(card) });
  return answering(session, card, { present, members: membersOf(card, await session.applications()) });
}

/** The hosts of an environment, this one with what is said of it; empty where it is on this host only. */
export async function standingsOf(
  session: Session,
  card: EnvironmentCard,
  here: { present: boolean; members: Member[] },
): Promise<HostStanding[]> {
  const span = readSpan(session.home, card.name);
  if (span === undefined) return [];
  const own = { ...shown(span, selfOf(span)), ...here };
  const alone = [{ ...own, unreachable: "the other hosts have declared this one gone" }];
  if (isBanished(span)) return alone;
  const heard = await askAll(session, card, span);
  const after = readSpan(session.home, card.name) ?? span;
  if (isBanished(after)) return alone;
  // Of these the others have told.
  const known = new Set(span.hosts.map(({ id }) => id));
  const newcomers = after.hosts.filter(({ id }) => !known.has(id));
  heard.push(...await askAll(session, card, { ...after, hosts: newcomers }));
  const others = heard.map((one): HostStanding => {
    const host = shown(span, after.hosts.find(({ id }) => id === one.host.id) ?? one.host);
    if ("fault" in one) return { ...host, unreachable: reasonOf(one.fault) };
    const { present, members } = one.value;
    return {
      ...host,
      present: present === true,
      members: Array.isArray(members) ? members.filter(isMember) : [],
    };
  });
  return [own, ...others].sort(byName);
}

function askAll(
  session: Session,
  card: EnvironmentCard,
  span: Span,
): Promise<Heard<Record<string, unknown>>[]> {
  return converseWithAll(
    session,
    span,
    (there) => ask(session, there, card, "vne-standing"),
    PATIENCE,
  );
}

function shown(span: Span, { id, name, address, numbers }: Span["hosts"][number]): HostStanding {
  return { name, address, self: id === span.self, numbers, count: countOf(numbers) };
}

function isMember(value: unknown): value is Member {
  if (!isRecord(value)) return false;
  const { aid, name, state, addresses, published } = value;
  return isText(aid) && isText(name) && (state === "running" || state === "exited" || state === "lost") &&
    Array.isArray(addresses) && addresses.length <= 16 && addresses.every(isText) &&
    (published === undefined || Array.isArray(published) && published.every(isPort));
}

function isPort(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { protocol, port, host } = value;
  return (protocol === "tcp" || protocol === "udp") && typeof port === "number" && typeof host === "number";
}
