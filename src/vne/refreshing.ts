/** Taking in what the directory of an environment says, before a command needs to know. */

import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Directory, informed } from "./directory.ts";
import type { EnvironmentCard } from "./environments.ts";
import { membersElsewhere, noteMembers, refreshNames } from "./names.ts";
import { follow } from "./questions.ts";
import { changeSpan, othersOf, readSpan, type Span } from "./span.ts";

/**
 * What is known of the hosts; undefined for an environment on this host only. Where there is a directory, it is asked first. When
 * that cannot be, what is known is used: this host hands out what it owns, and nothing else.
 */
export async function refreshed(session: Session, card: EnvironmentCard): Promise<Span | undefined> {
  const { home } = session;
  const span = readSpan(home, card.name);
  const directory = span === undefined ? undefined : Directory.of(span, card);
  if (directory === undefined) return span;
  try {
    // Under the lock: what was read is not overtaken by what this host gives away meanwhile.
    const [before, after] = await changeSpan(home, card.name, async (one) => {
      const next = informed(one, await directory.read());
      return { span: next, result: [one, next] as const };
    });
    await follow(session, card, before, after);
    await learnMembers(session, card, after, directory);
    return after;
  } catch (thrown) {
    const { code, message, causes = [] } = faultOf(thrown);
    if (code !== "other") throw thrown;
    session.output.talk(`  note: ${[message, ...causes].join(": ")}; going on with what is known`);
    return span;
  }
}

/** Hosts that could not tell this one which members they have wrote it down. */
async function learnMembers(
  session: Session,
  card: EnvironmentCard,
  span: Span,
  directory: Directory,
): Promise<void> {
  const told = await directory.told();
  const known = membersElsewhere(session.home, card);
  const news = othersOf(span).flatMap(({ id, name }) => {
    const members = told.get(id);
    const same = JSON.stringify(members) === JSON.stringify(known.get(name));
    return members === undefined || same ? [] : [{ name, members }];
  });
  for (const { name, members } of news) await noteMembers(session.home, card, name, members);
  if (news.length > 0) await refreshNames(session, card);
}
