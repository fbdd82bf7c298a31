import { strictEqual } from "node:assert/strict";
import { count, formatAge, formatBytes, formatCommand, formatDuration, printable } from "./format.ts";

Deno.test("sizes are shown in binary units", () => {
  strictEqual(formatBytes(0), "0 B");
  strictEqual(formatBytes(1023), "1023 B");
  strictEqual(formatBytes(4096), "4.0 KiB");
  strictEqual(formatBytes(256 * 1024 ** 2), "256 MiB");
  strictEqual(formatBytes(1024 ** 2 - 1), "1.0 MiB");
  strictEqual(formatBytes(1024 ** 6), "1024 PiB");
});

Deno.test("durations are shown with the unit that fits", () => {
  strictEqual(formatDuration(850), "850 us");
  strictEqual(formatDuration(2_540), "2.5 ms");
  strictEqual(formatDuration(26_400), "26 ms");
  strictEqual(formatDuration(999_700), "1.00 s");
  strictEqual(formatDuration(1_240_000), "1.24 s");
});

Deno.test("ages are rounded down to one unit", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  strictEqual(formatAge("2026-01-01T23:59:59.500Z", now), "just now");
  strictEqual(formatAge("2026-01-01T23:59:00Z", now), "1 minute ago");
  strictEqual(formatAge("2026-01-01T20:30:00Z", now), "3 hours ago");
  strictEqual(formatAge("2025-12-01T00:00:00Z", now), "32 days ago");
  strictEqual(formatAge("", now), "");
});

Deno.test("nouns follow their number", () => {
  strictEqual(count(1, "process"), "1 process");
  strictEqual(count(2, "process"), "2 processes");
  strictEqual(count(0, "thread"), "0 threads");
});

Deno.test("text from an image cannot command the terminal", () => {
  strictEqual(printable("a\x1b[2Jb\nc\u202e"), "a\\x1b[2Jb\\nc\\u202e");
  strictEqual(printable("größe 日本"), "größe 日本");
});

Deno.test("a command line is quoted where a shell needs it", () => {
  strictEqual(
    formatCommand(["/bin/sh", "-c", "echo 'hi there'", ""]),
    "/bin/sh -c 'echo '\\''hi there'\\''' ''",
  );
});
