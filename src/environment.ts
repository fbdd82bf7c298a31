/**
 * What the launcher of the one executable adds to the environment, for its runtime and for us; applications must
 * see none of it (native/crates/launcher/src/environment.rs).
 */
const ADDED = [
  "DENO_DIR",
  "DENO_NO_UPDATE_CHECK",
  "STASIS_SELF",
  "STASIS_LIBRARY",
  "STASIS_BASE",
  "STASIS_ASIDE",
];

/** The environment that applications get: the caller's, as it was before the launcher set some of it aside. */
export function applicationEnvironment(env: Readonly<Record<string, string>>): Record<string, string> {
  const aside = env["STASIS_ASIDE"];
  if (aside === undefined) return { ...env };
  const kept = Object.entries(env).filter(([name]) => !ADDED.includes(name));
  return { ...Object.fromEntries(kept), ...JSON.parse(aside) as Record<string, string> };
}
