/** This host comes to an environment that others have. */

import { StasisError } from "../../ffi/error.ts";
import type { Conversation } from "../remote/conversation.ts";
import type { Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { askAbout, comeIn, type Described } from "./admitting.ts";
import { Directory } from "./directory.ts";
import { checkNew } from "./environments.ts";
import { parseEndpoints } from "./etcd.ts";
import { converse, peerOf } from "./hosts.ts";
import { reasonOf } from "./meeting.ts";
import { ownHost, readHost } from "./naming_hosts.ts";
import type { Host, Span } from "./span.ts";
import { linkMtu, memberMtu } from "./underlay.ts";

/** What the command line says of this host, and of the way to others. */
export interface Coming {
  self?: string | undefined;
  rsh?: string | undefined;
  remote?: string | undefined;
}

/** Comes to an environment by a host that has it. */
export async function comeTo(session: Session, name: string, peer: string, coming: Coming): Promise<void> {
  const ways = waysOf(coming);
  const { word } = readHost(peer);
  await converse(session, peerOf(ways, { name: word }), async (there) => {
    await come(session, there, await askAbout(there, name), coming);
  });
}

/** Comes by the first host that is reached of those that the directory names. */
export async function comeToDirectory(
  session: Session,
  name: string,
  directory: string,
  coming: Coming,
): Promise<void> {
  const { hosts } = await Directory.find(parseEndpoints(directory), name);
  const causes: string[] = [];
  for (const host of hosts) {
    try {
      const peer = peerOf(waysOf(coming), host);
      return await converse(session, peer, async (there) => {
        await come(session, there, await askAbout(there, name), coming);
      });
    } catch (thrown) {
      const fault = faultOf(thrown);
      if (fault.code !== "other") throw thrown;
      causes.push(reasonOf(fault));
    }
  }
  throw StasisError.of("other", `Could not join the environment "${name}"`, {
    causes: causes.length > 0 ? causes : ["no host has it"],
    hint: "One of the hosts that have it must be reached",
  });
}

function waysOf({ rsh, remote }: Coming): Pick<Span, "rsh" | "remote"> {
  return { ...(rsh !== undefined && { rsh }), ...(remote !== undefined && { remote }) };
}

async function come(
  session: Session,
  there: Conversation,
  described: Described,
  coming: Coming,
): Promise<void> {
  const { card, me } = described;
  checkNew(session.home, card);
  const own = ownHost(coming.self, me.address);
  noteSize(session, described, own);
  try {
    await comeIn(session, there, described, own, waysOf(coming));
  } catch (error) {
    // It may have let this host in: then it is to take that back. When it cannot be told any more, its user can.
    await there.ask("vne-withdraw", { environment: card.id, from: own.id }).catch(() => {});
    throw error;
  }
}

/** Larger packets than the links of this host carry arrive in pieces, or not at all. */
function noteSize({ output }: Session, { card }: Described, { address }: Host): void {
  const fits = memberMtu(linkMtu(address), address, false);
  if ((card.mtu ?? fits) <= fits) return;
  output.talk(
    `  note: members have packets of ${card.mtu} bytes, and ${fits} fit through the link with the address ${address}`,
  );
}
