/** One program that holds ids of all kinds and checks them itself, in the languages and builds that it comes in. */

import { ID_SUBJECTS, type IpcHost, type SystemObject } from "../stage/ipc_host.ts";
import { CACHE, must, type Stage, until } from "../stage/stage.ts";
import type { Calls, Mode } from "./modes.ts";

export interface Program {
  readonly name: string;
  readonly calls: Calls;
  /** Builds it on that stage. Returns how it is run. */
  build(stage: Stage): Promise<string[]>;
}

const c = (name: string, calls: Calls, ...flags: string[]): Program => ({
  name,
  calls,
  async build(stage) {
    const program = `${stage.folder}/holder`;
    await must(["cc", "-O1", "-Wall", ...flags, "-o", program, `${ID_SUBJECTS}/holder.c`]);
    return [program];
  },
});

const python: Program = {
  name: "Python",
  calls: "library",
  build: () => Promise.resolve(["/usr/bin/python3", "-B", `${ID_SUBJECTS}/holder.py`]),
};

const go: Program = {
  name: "static Go",
  calls: "kernel",
  async build(stage) {
    const sources = ["holder.go", "system_v.go"].map((name) => `${ID_SUBJECTS}/${name}`);
    await must(["go", "build", "-o", `${stage.folder}/holder`, ...sources], {
      env: { CGO_ENABLED: "0", GOCACHE: `${CACHE}/go`, HOME: stage.folder },
    });
    return [`${stage.folder}/holder`];
  },
};

const PROGRAMS: readonly Program[] = [
  c("C", "library"),
  c("static C", "kernel", "-static"),
  c("C with raw system calls", "kernel", "-DRAW"),
  python,
  go,
];

/** The programs that a mode is tried with: all that it serves, or one for each way to call that it chooses between. */
export function programsFor({ serves, primary }: Mode): Program[] {
  if (primary) return PROGRAMS.filter(({ calls }) => serves.includes(calls));
  return serves.flatMap((way) => PROGRAMS.find(({ calls }) => calls === way) ?? []);
}

/** Objects of somebody else that the application must never see: ids and a key that nobody else has. */
const STRANGERS: readonly SystemObject[] = [
  { kind: "sem", id: 771 * 32768 + 77, key: 0x77040a17 },
  { kind: "shm", id: 772 * 32768 + 78, key: 0x77040a17 },
  { kind: "msg", id: 773 * 32768 + 79, key: 0x77040a17 },
];

/** A holder that runs as an application. */
export class Holder {
  private constructor(readonly host: IpcHost, readonly objects: readonly SystemObject[]) {}

  /** Starts it beside strangers, and waits until it holds everything. */
  static async start(host: IpcHost, mode: Mode, program: Program): Promise<Holder> {
    const { stage } = host;
    const argv = await program.build(stage);
    const strangers = [];
    for (const stranger of STRANGERS) strangers.push(await host.take(stranger));
    const ids = strangers.map(({ id }) => String(id));
    const words = [mode.undo ? "undo" : "no-undo", ...ids, String(STRANGERS[0]?.key)];
    await stage.stasis("run", "-d", "--name", "holder", ...mode.options, "--", ...argv, ...words);
    const said = await says(host, "holder", /^ready$|^fail.*/m);
    if (said !== "ready") throw new Error(`The ${program.name} holder: ${said}`);
    const lines = [...(await stage.logs("holder")).matchAll(/^own (\w+) (\d+) (-?\d+)$/gm)];
    const objects = lines.map(([, kind, id, key]) => ({ kind, id: Number(id), key: Number(key) }));
    return new Holder(host, objects as SystemObject[]);
  }

  /** Asks a restored one what it finds. Returns `pass`, or `fail` and why. */
  async verdict(name: string): Promise<string> {
    await this.host.stage.stasis("kill", "-s", "TERM", name);
    return await says(this.host, name, /^pass$|^fail.*/m);
  }
}

function says(host: IpcHost, name: string, words: RegExp): Promise<string> {
  return until(`"${name}" speak`, async () => words.exec(await host.stage.logs(name))?.[0], 40);
}
