/** The ways in which an application can have its System V ids kept: backend and interposition. */

import { capture, PRODUCT } from "../stage/stage.ts";

/** How a program calls the kernel: through a libc that can be preloaded, or past it. */
export type Calls = "library" | "kernel";

export interface Mode {
  readonly name: string;
  /** Options of `stasis run`. */
  readonly options: readonly string[];
  /** Programs whose calls it sees. */
  readonly serves: readonly Calls[];
  /** Is it a way of its own, rather than a choice among the others? */
  readonly primary: boolean;
  /** Do the objects stand in the host's IPC namespace, under ids of the host's? */
  readonly onHost: boolean;
  /** Do adjustments of SEM_UNDO come back? */
  readonly undo: boolean;
}

const ALL: readonly Mode[] = [
  // Nothing sees the calls in the default mode, and the kernel does not tell adjustments (docs/limits.md).
  {
    name: "namespace",
    options: [],
    serves: ["library", "kernel"],
    primary: true,
    onHost: false,
    undo: false,
  },
  {
    name: "translate, library",
    options: ["--ids", "translate", "--interpose", "library"],
    serves: ["library"],
    primary: true,
    onHost: true,
    undo: true,
  },
  {
    name: "translate, kernel",
    options: ["--ids", "translate", "--interpose", "kernel"],
    serves: ["library", "kernel"],
    primary: true,
    onHost: true,
    undo: true,
  },
  {
    name: "translate, auto",
    options: ["--ids", "translate"],
    serves: ["library", "kernel"],
    primary: false,
    onHost: true,
    undo: true,
  },
];

/** The modes that are tested: add a name of `ALL` to switch one on. */
const TESTED: readonly string[] = ["namespace", "translate, library", "translate, kernel", "translate, auto"];

export const MODES: readonly Mode[] = ALL.filter(({ name }) => TESTED.includes(name));

const help = async (...verb: string[]) => (await capture([PRODUCT, ...verb, "--help"])).stdout;

/** Does this build have `stasis ids`? */
export const tellsIds: boolean = /^ +ids /m.test(await help());

/** Can `stasis ps` say which application a process belongs to? */
export const tellsApplication: boolean = (await help("ps")).includes("--pid");
