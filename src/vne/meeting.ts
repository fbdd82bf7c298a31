/** Hosts of an environment meet: each tells the other which hosts it knows of, and which members it has. */

import type { Fault } from "../../ffi/error.ts";
import type { Network } from "../../ffi/messages.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Directory } from "./directory.ts";
import { type EnvironmentCard, folderOf, listEnvironments } from "./environments.ts";
import { Lock, readJson, replaceJson } from "./files.ts";
import { linksInto } from "./holders.ts";
import { banished, converseWithAll, type Heard } from "./hosts.ts";
import type { NamedMember } from "./name_lines.ts";
import { membersIn } from "./member_lists.ts";
import { membersHere, noteMembers, refreshNames } from "./names.ts";
import { answering, ask, type Asked, isFromGone, spanOf, understand } from "./questions.ts";
import { isBanished, readSpan, selfOf, type Span } from "./span.ts";

/** How long hosts may take to hear which members there are, in ms. */
const PATIENCE = 5000;

/** Answers a host that says what it knows with what this one knows. */
export async function meet(session: Session, args: unknown): Promise<unknown> {
  const asked = await understand(session, args);
  const { card, from, span } = asked;
  if (isFromGone(asked)) return answering(session, card);
  await takeInMembers(session, asked);
  return answering(session, card, {
    arrived: span.taken[from] ?? 0,
    members: await membersHere(session, card),
  });
}

/** Takes in which members another host has. */
export async function hearMembers(session: Session, args: unknown): Promise<unknown> {
  const asked = await understand(session, args);
  if (!isFromGone(asked)) await takeInMembers(session, asked);
  return answering(session, asked.card);
}

async function takeInMembers(session: Session, { card, span, from, args }: Asked): Promise<void> {
  const host = span.hosts.find(({ id }) => id === from);
  const members = membersIn(args);
  if (host === undefined || members === undefined) return;
  await noteMembers(session.home, card, host.name, members);
  await refreshNames(session, card);
}

/** Meets all other hosts: afterwards each knows of the others what this one knows, and this one what they know. */
export async function meetAll(
  session: Session,
  card: EnvironmentCard,
  patience?: number,
): Promise<Heard<void>[]> {
  const here = await membersHere(session, card);
  const heard = await converseWithAll(session, spanOf(session, card), async (there, host) => {
    const answer = await ask(session, there, card, "vne-meet", { members: here });
    const members = membersIn(answer);
    if (members !== undefined) await noteMembers(session.home, card, host.name, members);
  }, patience);
  await refreshNames(session, card);
  return heard;
}

/**
 * Tells the other hosts which members there are now. Commands that run at once do so one after the other, so that the last list is
 * the newest; one whose change another has told of meanwhile has nothing to tell. Who could not be told is noted, and learns
 * it when they meet again.
 */
export async function tellMembers(session: Session, card: EnvironmentCard): Promise<void> {
  const span = readSpan(session.home, card.name);
  if (span === undefined || isBanished(span)) return;
  const changed = Date.now();
  const folder = folderOf(session.home, card.name);
  using _lock = await Lock.on(`${folder}/.telling.lock`);
  if (lastTold(folder) > changed) return;
  const told = Date.now();
  const members = await membersHere(session, card);
  const [heard] = await Promise.all([
    converseWithAll(
      session,
      span,
      async (there) => void await ask(session, there, card, "vne-members", { members }),
      PATIENCE,
    ),
    writeDown(session, card, span, members),
  ]);
  replaceJson(`${folder}/told.json`, { told }, { durable: false });
  reportUntold(session, card, heard, "which members there are");
}

/** Where there is a directory, it has the list for those who could not be told. */
async function writeDown(
  session: Session,
  card: EnvironmentCard,
  span: Span,
  members: readonly NamedMember[],
): Promise<void> {
  try {
    await Directory.of(span, card)?.tell(selfOf(span), members);
  } catch (thrown) {
    session.output.talk(
      `  note: the directory does not say which members there are: ${reasonOf(faultOf(thrown))}`,
    );
  }
}

/** When the members were listed that the other hosts were last told of, in ms since 1970. */
function lastTold(folder: string): number {
  const { told } = (readJson(`${folder}/told.json`) ?? {}) as { told?: unknown };
  return typeof told === "number" ? told : 0;
}

/** The same for the environments of applications that have come, changed or gone. */
export async function tellOf(
  session: Session,
  networks: readonly (Network | undefined)[],
): Promise<void> {
  const own = networks.flatMap((network) => network === undefined || network === "host" ? [] : [{ network }]);
  if (own.length === 0) return;
  for (const card of listEnvironments(session.home)) {
    if (own.some((one) => linksInto(card, one).length > 0)) await tellMembers(session, card);
  }
}

/** Notes which hosts could not be told something. */
export function reportUntold(
  session: Session,
  card: EnvironmentCard,
  heard: readonly Heard<unknown>[],
  what: string,
): void {
  const span = readSpan(session.home, card.name);
  if (span !== undefined && isBanished(span)) {
    session.output.talk(`  note: ${reasonOf(banished(card.name).fault)}`);
    return;
  }
  for (const one of heard) {
    if (!("fault" in one)) continue;
    session.output.talk(
      `  note: the host "${one.host.name}" could not be told ${what}: ${reasonOf(one.fault)}`,
    );
  }
}

export function reasonOf({ message, causes = [] }: Fault): string {
  return [message, ...causes].join(": ");
}
