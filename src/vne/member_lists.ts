/** Lists of members, as hosts tell each other. */

import { isNamed } from "./arrivals.ts";
import type { NamedMember } from "./name_lines.ts";

/** How many members a host may tell of. */
const MOST = 1 << 17;

/** Reads the list that comes with something; undefined where there is none. */
export function membersIn({ members }: Record<string, unknown>): NamedMember[] | undefined {
  if (!Array.isArray(members) || members.length > MOST) return undefined;
  return members.every(isNamedMember) ? members : undefined;
}

function isNamedMember(value: unknown): value is NamedMember {
  return isNamed(value) && typeof (value as Partial<NamedMember>).running === "boolean";
}
