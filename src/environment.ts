/** Variables that the start of the one executable sets for its own runtime; no application shall see them. */
const OWN = ["DENO_DIR", "DENO_NO_UPDATE_CHECK", "DENO_NO_PROMPT", "STASIS_EXECUTABLE"];

/** The environment that applications get: the caller's. */
export function applicationEnvironment(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !OWN.includes(name)));
}
