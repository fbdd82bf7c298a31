import type { Inspection, Origin } from "../../ffi/messages.ts";

/** What a snapshot's application is a clone of, if it is one. A label may come from anywhere: half an origin is none. */
export function originOf(label: Inspection["label"]): Origin | undefined {
  const origin: Partial<Record<keyof Origin, unknown>> | undefined = label?.origin;
  if (typeof origin !== "object" || origin === null) return undefined;
  const { template, generation } = origin;
  const sound = typeof template === "string" && Number.isSafeInteger(generation) && Number(generation) > 0;
  return sound && Number(generation) < 2 ** 32 ? { template, generation: Number(generation) } : undefined;
}
