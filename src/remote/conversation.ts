/** This host's end of a conversation with another one: a remote shell that runs `stasis peer` there. */

import { type Fault, StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";
import { faultIn } from "./faults.ts";
import { type Frame, FrameReader, FrameWriter } from "./frames.ts";
import { PROTOCOL } from "./serving.ts";
import { gone, Inbox, type Talk, talkOver } from "./talk.ts";

/** How another host is reached. */
export interface Peer {
  /** As the remote shell takes it, such as `web2` or `root@10.0.0.2`. */
  host: string;
  /** The remote shell with its options, in words; `ssh` where nothing is said. */
  rsh?: string | undefined;
  /** The program there; `stasis` on its PATH where nothing is said. */
  remote?: string | undefined;
}

/** How long a remote shell may take until stasis answers there, in ms. */
const PATIENCE = 10_000;
/** How much of its talk is kept, in characters. */
const MOST_TALK = 2000;
/** How long it may take to end once nothing more is said, in ms. */
const FAREWELL = 2000;

interface Question {
  inbox: Inbox;
  answered: (answer: unknown) => void;
  failed: (error: StasisError) => void;
}

export class Conversation implements AsyncDisposable {
  readonly #writer: FrameWriter;
  readonly #reader: FrameReader;
  readonly #stderr: Promise<void>;
  #listening: Promise<void> = Promise.resolve();
  #talk = "";
  #question: Question | undefined;
  #closed: StasisError | undefined;

  private constructor(readonly peer: Peer, readonly child: Deno.ChildProcess) {
    this.#writer = new FrameWriter(child.stdin);
    this.#reader = new FrameReader(child.stdout);
    this.#stderr = this.#keepTalk();
  }

  /** Connects to a host. Throws with what the remote shell said when stasis does not answer there in time. */
  static async open(session: Session, peer: Peer, patience = PATIENCE): Promise<Conversation> {
    const conversation = new Conversation(peer, start(session, peer));
    const limit = setTimeout(() => conversation.#kill(), patience);
    try {
      await conversation.#greet(session);
    } catch (error) {
      await conversation[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearTimeout(limit);
    }
    conversation.#listening = conversation.#listen();
    return conversation;
  }

  /**
   * Asks one question and returns the answer; `during` speaks and hears meanwhile. Throws the fault of the other host under
   * its name. When `during` throws, the connection is closed, which makes the other host undo what it had begun.
   */
  async ask(name: string, args: unknown, during?: (talk: Talk) => Promise<void>): Promise<unknown> {
    if (this.#closed !== undefined) throw this.#closed;
    const inbox = new Inbox();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#question = { inbox, answered: resolve, failed: reject };
    const talking = this.#ask(name, args, inbox, during);
    const [answer, talked] = await Promise.allSettled([promise, talking]);
    this.#question = undefined;
    if (talked.status === "rejected" && talked.reason !== inbox.gone.reason) throw talked.reason;
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  }

  async #ask(
    name: string,
    args: unknown,
    inbox: Inbox,
    during?: (talk: Talk) => Promise<void>,
  ): Promise<void> {
    try {
      await this.#writer.value({ ask: name, args });
      await during?.(talkOver(this.#writer, inbox));
    } catch (error) {
      await this.#hangUp();
      // Whoever would have read it has ended.
      throw error instanceof Deno.errors.BrokenPipe ? this.#lost() : error;
    } finally {
      inbox.end(this.#lost());
    }
  }

  /** Until the other side is gone. */
  async #listen(): Promise<void> {
    try {
      for (;;) {
        const frame = await this.#reader.next();
        if (frame === undefined) break;
        await this.#arrived(frame);
      }
    } catch (error) {
      this.#closed = error instanceof StasisError ? this.#named(error.fault) : this.#lost();
    }
    await this.#stderr;
    this.#closed ??= this.#lost();
    this.#question?.inbox.end(this.#closed);
    this.#question?.failed(this.#closed);
  }

  async #arrived(frame: Frame): Promise<void> {
    const question = this.#question;
    if (question === undefined) return;
    if (!("value" in frame)) return await question.inbox.put(frame);
    const { value } = frame;
    if (!isRecord(value)) return;
    if ("say" in value) return await question.inbox.put({ value: value.say });
    if ("answer" in value) return question.answered(value.answer);
    const error = this.#named(faultIn(value.fault));
    question.inbox.end(error);
    question.failed(error);
  }

  async #greet(session: Session): Promise<void> {
    const hello = await this.#firstWords();
    const { protocol, stasis } = isRecord(hello) ? hello : {};
    if (protocol === PROTOCOL) return;
    throw StasisError.of("other", `Could not work together with stasis on ${this.peer.host}`, {
      causes: [`it is ${stasis ?? "of another kind"}, this is ${session.engine.version()}`],
      hint: "Install the same version on both hosts",
    });
  }

  async #firstWords(): Promise<unknown> {
    try {
      const frame = await this.#reader.next();
      if (frame !== undefined && "value" in frame) return frame.value;
    } catch (error) {
      if (!(error instanceof StasisError)) throw error;
      throw unreachable(this.peer, [...error.fault.causes ?? [], ...this.#said()]);
    }
    await this.#stderr;
    const { code } = await this.child.status;
    const said = this.#said();
    throw unreachable(
      this.peer,
      said.length > 0 ? said : [`"${rshOf(this.peer)}" ended with exit code ${code}`],
    );
  }

  #said(): string[] {
    return this.#talk.split("\n").map((line) => line.trim()).filter((line) => line !== "").slice(-3);
  }

  #lost(): StasisError {
    return gone(this.peer.host, this.#said());
  }

  #named(fault: Fault): StasisError {
    return new StasisError({ ...fault, message: `${this.peer.host}: ${fault.message}` });
  }

  async #keepTalk(): Promise<void> {
    for await (const text of this.child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#talk = (this.#talk + text).slice(-MOST_TALK);
    }
  }

  async #hangUp(): Promise<void> {
    this.#closed ??= this.#lost();
    await this.#writer.close().catch(() => {});
  }

  #kill(): void {
    try {
      this.child.kill("SIGTERM");
    } catch {
      // It has ended by now.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#hangUp();
    const limit = setTimeout(() => this.#kill(), FAREWELL);
    await Promise.all([this.child.status, this.#listening, this.#stderr]);
    clearTimeout(limit);
  }
}

function start(session: Session, peer: Peer): Deno.ChildProcess {
  if (!/^[A-Za-z0-9_.:@%\[\]][-A-Za-z0-9_.:@%\[\]]*$/.test(peer.host)) {
    throw StasisError.of("usage", `Could not use the host "${peer.host}"`, {
      causes: ["names of hosts have letters, digits and . _ - : @ only"],
    });
  }
  const [program = "ssh", ...options] = rshOf(peer).split(/\s+/).filter((word) => word !== "");
  const args = [...options, peer.host, quoted(peer.remote ?? "stasis"), "peer"];
  try {
    const { cwd, env } = session.caller;
    const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    return new Deno.Command(program, { args, cwd, env, clearEnv: true, ...pipes }).spawn();
  } catch (error) {
    throw unreachable(peer, [`"${program}": ${error instanceof Error ? error.message : String(error)}`]);
  }
}

function rshOf({ rsh }: Peer): string {
  return rsh === undefined || rsh.trim() === "" ? "ssh" : rsh;
}

/** For the shell that remote shells put between. */
function quoted(word: string): string {
  return /^[-A-Za-z0-9_./=:@%+]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function unreachable(peer: Peer, causes: string[]): StasisError {
  return StasisError.of("other", `Could not reach stasis on ${peer.host}`, {
    causes,
    hint: `Try: ${rshOf(peer)} ${peer.host} ${quoted(peer.remote ?? "stasis")} --version`,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
