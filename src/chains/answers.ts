/** What other hosts may ask of this one about chains. */

import type { Handler } from "../remote/serving.ts";
import { hearVerdicts, takePart, tellDoubts } from "./answering.ts";
import { bringPart, undoPart } from "./hosting.ts";

export const CHAIN_HANDLERS: readonly (readonly [string, Handler])[] = [
  ["chain-take", takePart],
  ["chain-doubts", tellDoubts],
  ["chain-verdicts", hearVerdicts],
  ["chain-restore", bringPart],
  ["chain-undo", undoPart],
];
