/** What becomes of an application whose move failed, and what is said about it. */

import { StasisError } from "../../ffi/error.ts";
import type { Application, Tcp } from "../../ffi/messages.ts";
import { originOf } from "../catalog/origin.ts";
import type { Peer } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { joinForRestore } from "../vne/joining.ts";
import { returningHostname, withNames } from "../vne/newcomers.ts";

/** What was to be moved, where to, and the id of what was last captured of it. */
export interface Where {
  application: Application;
  peer: Peer;
  snapshot: string;
}

/** It was never stopped. */
export function ranOn(thrown: unknown, { application: { name } }: Where): StasisError {
  return new StasisError({ ...faultOf(thrown), aftermath: `"${name}" runs on here, unharmed` });
}

/** It was stopped, and the other host does not have it: it comes back here at once. */
export async function restoredHere(
  session: Session,
  thrown: unknown,
  where: Where,
  dir: string,
  tcp?: Tcp,
): Promise<{ error: StasisError; restored: boolean }> {
  const { application: { aid: former, name }, peer, snapshot } = where;
  const fault = faultOf(thrown);
  try {
    const aid = await bringBack(session, dir, name, tcp);
    await session.perform("remove", { aid: former });
    const aftermath = `"${name}" had been stopped for the move, and runs here again (${aid}), as it was then`;
    return { error: new StasisError({ ...fault, aftermath }), restored: true };
  } catch (again) {
    const { message, causes = [] } = faultOf(again);
    const error = new StasisError({
      ...fault,
      causes: [...fault.causes ?? [], [message, ...causes].join(": ")],
      aftermath:
        `"${name}" is stopped; it runs neither here nor on ${peer.host}, and its snapshot is ${snapshot}`,
      hint: `Bring it back: stasis restore ${snapshot} -d`,
    });
    return { error, restored: false };
  }
}

async function bringBack(session: Session, dir: string, name: string, tcp?: Tcp): Promise<string> {
  const inspection = await session.perform("inspect", { dir });
  const origin = originOf(inspection.label);
  using joining = await joinForRestore(session, {}, inspection);
  const request = {
    ...{ dir, name, detach: true, terminal: false },
    ...(tcp !== undefined && { tcp }),
    ...(origin !== undefined && { origin }),
    ...joining.request,
    ...returningHostname(joining.request.network, name, inspection),
  };
  const newcomer = { hostname: inspection.hostname, ...request };
  const { aid = "" } = await withNames(session, [newcomer], () => session.perform("restore", request));
  return aid;
}

/** The other host was told to let it go on, and did not say whether it did: it must not come to life twice. */
export function inDoubt(thrown: unknown, { application: { name }, peer, snapshot }: Where): StasisError {
  const { code, exit, message, causes = [] } = faultOf(thrown);
  const { host } = peer;
  const shell = peer.rsh ?? "ssh";
  return new StasisError({
    code,
    exit,
    message: `Could not find out whether "${name}" runs on ${host}`,
    causes: [message, ...causes],
    aftermath:
      `"${name}" is stopped here. ${host} had all of it, had been told to let it go on, and did not say that it did. ` +
      `Its snapshot, from the moment at which it was stopped, is ${snapshot}`,
    hint: `Look there first: ${shell} ${host} ${
      peer.remote ?? "stasis"
    } ps; only if it does not run there: stasis restore ${snapshot} -d`,
  });
}
