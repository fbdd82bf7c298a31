/** What other hosts may ask of this one about environments. */

import type { Handler } from "../remote/serving.ts";
import { admit, describeTo } from "./admitting.ts";
import { adopt, lookAhead } from "./adopting.ts";
import { freeze } from "./declaring.ts";
import { giveAway } from "./giving.ts";
import { inherit, withdraw } from "./leaving.ts";
import { hearMembers, meet } from "./meeting.ts";
import { removeFor } from "./removing.ts";
import { standing } from "./standings.ts";

export const VNE_HANDLERS: readonly (readonly [string, Handler])[] = [
  ["vne-look", lookAhead],
  ["vne-adopt", adopt],
  ["vne-describe", describeTo],
  ["vne-admit", admit],
  ["vne-withdraw", withdraw],
  ["vne-meet", meet],
  ["vne-members", hearMembers],
  ["vne-give", giveAway],
  ["vne-inherit", inherit],
  ["vne-freeze", freeze],
  ["vne-remove", removeFor],
  ["vne-standing", standing],
];
