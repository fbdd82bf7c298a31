/** Bringing the applications of a chain back at one moment, all or none. */

import { EXIT_CODES, type Fault, StasisError } from "../../ffi/error.ts";
import {
  type BackOutcome,
  type Inspection,
  RESTORE_GATES,
  type Restored,
  type RestoreRequest,
  type Tcp,
  type Volumes,
} from "../../ffi/messages.ts";
import { storeOf } from "../catalog/home.ts";
import { checkName, freeName } from "../catalog/names.ts";
import { originOf } from "../catalog/origin.ts";
import { exists } from "../catalog/tree.ts";
import { removeAgain } from "../cloning.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { count } from "../ui/format.ts";
import { tellOf } from "../vne/meeting.ts";
import { type Newcomer, returningHostname, withNames } from "../vne/newcomers.ts";
import { reportPublished } from "../vne/publishing.ts";
import type { Joining } from "../vne/taking.ts";
import { leadThrough } from "./leading.ts";
import type { ChainMember } from "./records.ts";

/** How applications come back. */
export interface Ways {
  /** What stands before the name of each, with a hyphen between; without it each gets its own name, or one like it that is free. */
  prefix?: string;
  files?: Record<string, string>;
  tcp?: Tcp;
  volumes?: Volumes;
}

/** Gives an application the network that it is to have. */
export type Place = (inspection: Inspection) => Promise<Joining>;

const GATES = Object.values(RESTORE_GATES);

/** Restores the snapshots of this host; `at` is waited for at each gate. */
export async function restoreMembers(
  session: Session,
  members: readonly ChainMember[],
  ways: Ways,
  place: Place,
  at: (gate: number) => Promise<void> = () => Promise.resolve(),
): Promise<Restored[]> {
  using joinings = new DisposableStack();
  const taken = await session.namesInUse();
  const requests: (RestoreRequest & { name: string })[] = [];
  const newcomers: Newcomer[] = [];
  for (const member of members) {
    const dir = folderOf(session, member);
    const inspection = await session.perform("inspect", { dir });
    const joining = joinings.use(await place(inspection));
    const { network } = joining.request;
    const name = nameOf(inspection.label?.name ?? member.name, ways.prefix, taken);
    taken.add(name);
    // In a copy, members find each other under the names that they had.
    const own = ways.prefix === undefined ? returningHostname(network, name, inspection) : {};
    requests.push({ dir, name, ...common(ways), ...originIn(inspection), ...joining.request, ...own });
    newcomers.push({ hostname: inspection.hostname, name, network, ...own });
  }
  const { home } = session;
  const restores = requests.map((request) => ({ home, ...request }));
  const restored = await withNames(session, newcomers, async () => {
    const { outcomes } = await session.perform(
      "restore_together",
      { restores },
      (job) => leadThrough(job, GATES, at),
    );
    return await allOrNone(session, outcomes, requests);
  });
  for (const [index, { aid }] of restored.entries()) {
    await reportPublished(session, aid, requests[index]?.network);
  }
  await tellOf(session, requests.map(({ network }) => network));
  return restored;
}

function folderOf(session: Session, { name, snapshot }: ChainMember): string {
  const dir = `${storeOf(session.home)}/${snapshot}`;
  if (exists(dir)) return dir;
  throw StasisError.of("no_target", `Could not find the snapshot ${snapshot} of "${name}"`, {
    causes: [`there is no folder ${dir}`],
    aftermath: "Nothing was restored",
  });
}

function common({ files = {}, tcp, volumes }: Ways): Pick<RestoreRequest, "detach" | "terminal" | "files"> {
  return {
    detach: true,
    terminal: false,
    files,
    ...(tcp !== undefined && { tcp }),
    ...(volumes !== undefined && { volumes }),
  };
}

function originIn({ label }: Inspection): Pick<RestoreRequest, "origin"> {
  const origin = originOf(label);
  return origin === undefined ? {} : { origin };
}

function nameOf(own: string, prefix: string | undefined, taken: ReadonlySet<string>): string {
  return freeName(checkName(prefix === undefined ? own : `${prefix}-${own}`), taken);
}

/** Those that live are removed again where another one failed. */
async function allOrNone(
  session: Session,
  outcomes: readonly BackOutcome[],
  requests: readonly RestoreRequest[],
): Promise<Restored[]> {
  const made = outcomes.flatMap((one) => "made" in one ? [one.made] : []);
  if (made.length === outcomes.length) return made;
  const failed = outcomes.flatMap((one, index) => "failed" in one ? [{ ...one.failed, index }] : []);
  const first = failed.find(({ first }) => first) ?? failed[0];
  const left = await removeAll(session, made);
  throw failure(first?.fault, requests[first?.index ?? 0]?.name ?? "", made.length, left);
}

/** Ends and forgets applications; returns why some could not be. A signal does not keep this from ending. */
export async function removeAll(session: Session, made: readonly Restored[]): Promise<string[]> {
  using _deaf = session.interrupts.take(() => {});
  const left: string[] = [];
  await Promise.all(made.map(async ({ aid, name = "" }) => {
    try {
      if (aid !== undefined) await removeAgain(session, aid);
    } catch (thrown) {
      const { message, causes = [] } = faultOf(thrown);
      left.push(`"${name}" (${aid}) is still there: ${[message, ...causes].join(": ")}`);
    }
  }));
  return left;
}

function failure(
  cause: Fault | undefined,
  name: string,
  made: number,
  left: readonly string[],
): StasisError {
  const code = left.length > 0 ? "restore_left" : cause?.code ?? "restore_failed";
  const gone = made === 0 ? [] : [`${count(made, "application")} that ran already ended again`];
  return new StasisError({
    code,
    exit: EXIT_CODES[code],
    message: "Could not bring the chain back",
    causes: [`"${name}": ${cause?.message ?? "it failed"}`, ...cause?.causes ?? [], ...left],
    aftermath: [...gone, left.length > 0 ? "Not all could be removed" : "Nothing was left behind"].join("; "),
    ...(cause?.hint !== undefined && { hint: cause.hint }),
  });
}
