/** What is known of processes of this host, our own commands above all. */

/**
 * When a process started, in ticks since the start of the host: field 22 of /proc/PID/stat, whose field 2 may hold anything.
 * Undefined for one that has ended, also where nobody has waited for it, as PID 1 of some containers never does.
 */
export function startOf(pid: number): string | undefined {
  try {
    const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
