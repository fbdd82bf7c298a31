/** Asking several hosts something that all of them do, or none: each gets ready, then all are told to go. */

import { StasisError } from "../../ffi/error.ts";
import type { Talk } from "../remote/talk.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { converse, peerOf } from "./hosts.ts";
import type { Host, Span } from "./span.ts";

/** What one host is asked. */
export interface Question {
  host: Host;
  question: string;
  args: unknown;
}

export interface Answer {
  host: Host;
  answer: PromiseSettledResult<unknown>;
}

/** What hosts have said when they got ready, by their ids. */
export type Reports = ReadonlyMap<string, unknown>;

/** The word on which all go. */
const GO = "go";

/**
 * Asks each host, and waits until all are ready. `act` is this host's part: when it is done, the others are told to go. When one
 * of them cannot get ready, or `act` fails, the connections are closed, each host takes back what it has done, and the error is
 * thrown. Hosts that do not answer any more after the word to go are in the answers.
 */
export async function together(
  session: Session,
  span: Span,
  questions: readonly Question[],
  patience: number,
  act: (reports: Reports) => Promise<void>,
): Promise<Answer[]> {
  const gathering = new Gathering(session, span, patience);
  try {
    const reports = await Promise.all(
      questions.map(async (one) => [one.host.id, await gathering.begin(one)] as const),
    );
    await act(new Map(reports));
  } catch (error) {
    await gathering.disperse(error);
    throw error;
  }
  return await gathering.go();
}

/** Hosts that get ready one after the other, for one who holds them all. */
export class Gathering {
  readonly #going = Promise.withResolvers<void>();
  readonly #answers: { host: Host; answer: Promise<unknown> }[] = [];

  constructor(readonly session: Session, readonly span: Span, readonly patience: number) {
    this.#going.promise.catch(() => {});
  }

  /** Has a host get ready. Returns what it says then. */
  async begin({ host, question, args }: Question): Promise<unknown> {
    const ready = Promise.withResolvers<unknown>();
    const answer = converse(
      this.session,
      peerOf(this.span, host),
      (there) =>
        there.ask(question, args, async (talk) => {
          ready.resolve(await said(talk));
          await this.#going.promise;
          await talk.say(GO);
        }),
      this.patience,
    );
    answer.catch(ready.reject);
    this.#answers.push({ host, answer });
    return await ready.promise;
  }

  /** Tells all to go, and waits for their answers. */
  async go(): Promise<Answer[]> {
    this.#going.resolve();
    return await this.#settled();
  }

  /** Lets all take back what they have done. */
  async disperse(error: unknown): Promise<void> {
    this.#going.reject(error);
    await this.#settled();
  }

  async #settled(): Promise<Answer[]> {
    const settled = await Promise.allSettled(this.#answers.map(({ answer }) => answer));
    return this.#answers.flatMap(({ host }, index) => {
      const answer = settled[index];
      return answer === undefined ? [] : [{ host, answer }];
    });
  }
}

/** For a host that has got ready: waits for the word to go. Throws when the other side has thought better of it. */
export async function awaitGo(talk: Talk, report: unknown): Promise<void> {
  await talk.say(report);
  if (await said(talk) !== GO) {
    throw StasisError.of("other", "Could not understand whether another host goes on");
  }
}

async function said(talk: Talk): Promise<unknown> {
  const heard = await talk.hear();
  return "value" in heard ? heard.value : undefined;
}

/** The hosts of which it is not known whether they have gone on, and why. */
export function withoutAnswer(answers: readonly Answer[]): { host: Host; why: string }[] {
  return answers.flatMap(({ host, answer }) => {
    if (answer.status === "fulfilled") return [];
    const { message, causes = [] } = faultOf(answer.reason);
    return [{ host, why: [message, ...causes].join(": ") }];
  });
}
