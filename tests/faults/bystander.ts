/** A program that stasis did not start, and what can be seen of it from outside. */

import { fileURLToPath } from "node:url";
import { must, type Stage, until } from "../e2e/stage/stage.ts";

const SUBJECTS = fileURLToPath(new URL("../subjects", import.meta.url));

/** Threads that notice what is done to them (tests/subjects/undisturbed.c). */
export async function undisturbed(stage: Stage): Promise<string> {
  const program = `${stage.folder}/undisturbed`;
  await must(["cc", "-O1", "-Wall", "-pthread", "-o", program, `${SUBJECTS}/undisturbed.c`]);
  return program;
}

/** Starts a program without the descriptors that this one inherited, which lead to whoever runs the tests. */
const ALONE = `for link in /proc/self/fd/*; do
  number=\${link##*/}
  [ "$number" -gt 2 ] && eval "exec $number>&-"
done 2> /dev/null
exec "$@" > "$0" 2>&1 < /dev/null`;

export class Bystander implements AsyncDisposable {
  private constructor(readonly process: Deno.ChildProcess, readonly output: string) {}

  /** Starts a program whose output goes to a file, and waits until it says something. */
  static async start(stage: Stage, ...argv: string[]): Promise<Bystander> {
    const output = `${stage.folder}/bystander-${crypto.randomUUID().slice(0, 8)}`;
    const process = new Deno.Command("setsid", {
      args: ["bash", "-c", ALONE, output, ...argv],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const bystander = new Bystander(process, output);
    await until("a sign of life", () => bystander.said().includes("\n") || undefined);
    return bystander;
  }

  get pid(): number {
    return this.process.pid;
  }

  said(): string {
    try {
      return Deno.readTextFileSync(this.output);
    } catch {
      return "";
    }
  }

  /** One field of /proc/PID/status. */
  status(field: string): string {
    const text = Deno.readTextFileSync(`/proc/${this.pid}/status`);
    return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(text)?.[1] ?? "";
  }

  /** Address ranges and permissions of its memory. */
  maps(): string[] {
    const lines = Deno.readTextFileSync(`/proc/${this.pid}/maps`).trimEnd().split("\n");
    return lines.map((line) => line.split(" ").slice(0, 2).join(" "));
  }

  /** Signal masks of its threads. */
  masks(): string[] {
    const threads = [...Deno.readDirSync(`/proc/${this.pid}/task`)].map(({ name }) => name).sort();
    return threads.map((thread) =>
      /^SigBlk:\s*(\w+)$/m.exec(Deno.readTextFileSync(`/proc/${this.pid}/task/${thread}/status`))?.[1] ?? ""
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.process.status;
  }
}
