import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { verb } from "../verb.ts";
import { vneCreate } from "./vne/create.ts";
import { vneJoin } from "./vne/join.ts";
import { vneLeave } from "./vne/leave.ts";
import { vneLs } from "./vne/ls.ts";
import { vneRanges } from "./vne/ranges.ts";
import { vneRotate } from "./vne/rotate.ts";
import { vneRm } from "./vne/rm.ts";
import { vneRestore } from "./vne/restore.ts";
import { vneShow } from "./vne/show.ts";
import { vneSnapshot } from "./vne/snapshot.ts";

/** `stasis vne`: private networks of applications. */
export function vne(open: Open): CommandUnknownOpts {
  const group = verb("vne", "Make virtual network environments, look at them and remove them").helpCommand(
    false,
  );
  const verbs = [
    ...[vneCreate, vneJoin, vneLeave, vneLs, vneShow, vneRm, vneRotate, vneRanges],
    ...[vneSnapshot, vneRestore],
  ];
  for (const make of verbs) group.addCommand(make(open));
  return group;
}
