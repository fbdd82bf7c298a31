/** What other hosts may ask of this one; each area answers for itself. */

import type { Handler } from "./serving.ts";

export const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([]);
