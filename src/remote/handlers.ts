/** What other hosts may ask of this one; each area answers for itself. */

import { CHAIN_HANDLERS } from "../chains/answers.ts";
import { arrive } from "../moving/arriving.ts";
import { MOVE } from "../moving/order.ts";
import { VNE_HANDLERS } from "../vne/answers.ts";
import type { Handler } from "./serving.ts";

export const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ...VNE_HANDLERS,
  ...CHAIN_HANDLERS,
  [MOVE, arrive],
]);
