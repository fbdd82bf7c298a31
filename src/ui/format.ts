const UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size in binary units with three digits or so: `4.0 KiB`, `256 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  let unit = "";
  for (unit of UNITS) {
    value /= 1024;
    if (value < 1023.5) break;
  }
  return `${value.toFixed(value < 9.95 ? 1 : 0)} ${unit}`;
}

/** A duration that was measured in microseconds: `850 us`, `26 ms`, `1.24 s`. */
export function formatDuration(microseconds: number): string {
  if (microseconds < 1000) return `${Math.round(microseconds)} us`;
  const milliseconds = microseconds / 1000;
  if (milliseconds < 999.5) return `${milliseconds.toFixed(milliseconds < 9.95 ? 1 : 0)} ms`;
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

const STEPS: readonly [name: string, seconds: number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** How long ago an ISO 8601 moment was: `3 minutes ago`; empty when it is no moment. */
export function formatAge(moment: string, now: number = Date.now()): string {
  const seconds = Math.floor((now - Date.parse(moment)) / 1000);
  if (Number.isNaN(seconds)) return "";
  const step = STEPS.find(([, length]) => seconds >= length);
  if (step === undefined) return "just now";
  return `${count(Math.floor(seconds / step[1]), step[0])} ago`;
}

/** A number with its noun: `1 process`, `3 processes`. */
export function count(number: number, noun: string): string {
  if (number === 1) return `1 ${noun}`;
  return `${number} ${noun}${noun.endsWith("s") ? "es" : "s"}`;
}

/**
 * Text from outside (names, paths, reasons) on one line, without anything that a terminal would obey: an image is
 * hostile input, and its strings are shown to a person.
 */
export function printable(text: string): string {
  return Array.from(text, (char) => isControl(char) ? escapeOf(char) : char).join("");
}

/** Control characters, and the marks that turn the direction of writing around. */
function isControl(char: string): boolean {
  const code = char.codePointAt(0) ?? 0;
  const turnsDirection = (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || turnsDirection;
}

function escapeOf(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const named: Record<string, string> = { "\n": "\\n", "\t": "\\t", "\r": "\\r" };
  return named[char] ??
    (code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`);
}

/** A command line that a shell would read back as the same words. */
export function formatCommand(words: readonly string[]): string {
  return words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)
    .join(" ");
}
