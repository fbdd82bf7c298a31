import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";

const SHORTEST_PREFIX = 2;

/**
 * The application that `given` means: its name, its AID, or the beginning of an AID that only one has. Names are
 * unique among running applications only, so a running one goes before those that ended, and a newer one before
 * an older one.
 */
export function resolveApplication(applications: readonly Application[], given: string): Application {
  const [named] = applications.filter((one) => one.name === given).sort(byRelevance);
  if (named !== undefined) return named;
  const begun = applications.filter((one) => given.length >= SHORTEST_PREFIX && one.aid.startsWith(given));
  if (begun.length > 1) {
    throw StasisError.of("usage", `Could not tell which application "${given}" is`, {
      causes: [`it may be any of ${begun.map((one) => `${one.aid} (${one.name})`).join(", ")}`],
      hint: "Give more digits",
    });
  }
  const [only] = begun;
  if (only !== undefined) return only;
  throw noSuchApplication(applications, given);
}

/** Running ones first, newer ones before older ones. */
export function byRelevance(one: Application, other: Application): number {
  const running = Number(other.state === "running") - Number(one.state === "running");
  return running || other.started.localeCompare(one.started);
}

function noSuchApplication(applications: readonly Application[], given: string): StasisError {
  const running = applications.filter((one) => one.state === "running").map((one) => `"${one.name}"`);
  if (/^\d+$/.test(given)) {
    return StasisError.of("no_target", `Could not find an application named "${given}"`, {
      hint: 'Only "snapshot" takes processes that stasis did not start: stasis snapshot --pid PID',
    });
  }
  const known = running.length === 0 ? "No application is running" : `Running are ${running.join(", ")}`;
  return StasisError.of("no_target", `Could not find an application named "${given}"`, {
    hint: `${known}; "stasis ps" lists them all`,
  });
}
