/** Ports for programs of tests. */

/**
 * From here on. Below what the kernel gives to connections by itself (net.ipv4.ip_local_port_range): a port stays free
 * while its program is away.
 */
const FIRST = 10_000;
/** Files of tests that run beside one another differ by this variable, and take ports of different ranges. */
const LANE = Number(Deno.env.get("STASIS_TEST_LANE") ?? "0");
const RANGE = 2_000;

/** A port that nothing listens on now, on any address; with a count, the first of so many. */
export function freePort(count = 1): number {
  for (;;) {
    const first = FIRST + LANE * RANGE + Math.floor(Math.random() * (RANGE - count));
    if (Array.from({ length: count }, (_, index) => first + index).every(isFree)) return first;
  }
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ hostname: "0.0.0.0", port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
