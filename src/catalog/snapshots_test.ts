import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { Listed } from "../../ffi/messages.ts";
import { catalogue, parseReference, pick } from "./snapshots.ts";

function listed(id: string, name: string, created: string): Listed {
  const label = { id, name, aid: `aid-of-${name}`, tags: ["nightly"], created };
  return { dir: `/store/${id}`, label, bytes: 4096, processes: 2 };
}

const SNAPSHOTS = catalogue([
  listed("ab0000000000", "web", "2026-01-01T10:00:00Z"),
  { dir: "/store/ab1100000000", damaged: "truncated" },
  listed("ab2200000000", "web", "2026-01-03T10:00:00Z"),
  listed("cd0000000000", "db", "2026-01-02T10:00:00Z"),
]);

function found(given: string): string {
  const reference = parseReference(given);
  if ("folder" in reference) throw new Error("a folder");
  return pick(SNAPSHOTS, reference).id;
}

function failure(given: string): StasisError {
  try {
    found(given);
  } catch (error) {
    if (error instanceof StasisError) return error;
  }
  throw new Error(`"${given}" was found`);
}

Deno.test("the catalogue lists the newest snapshot first and keeps damaged ones", () => {
  deepStrictEqual(SNAPSHOTS.map((one) => one.id), [
    "ab2200000000",
    "cd0000000000",
    "ab0000000000",
    "ab1100000000",
  ]);
  strictEqual(SNAPSHOTS[3]?.damaged, "truncated");
});

Deno.test("a snapshot is found by id and by a prefix that only one has", () => {
  strictEqual(found("ab0000000000"), "ab0000000000");
  strictEqual(found("c"), "cd0000000000");
  strictEqual(found("ab1"), "ab1100000000");
});

Deno.test("an ambiguous prefix names the candidates", () => {
  strictEqual(failure("ab").fault.code, "usage");
  match(failure("ab").fault.causes?.join() ?? "", /ab2200000000, ab0000000000, ab1100000000/);
});

Deno.test("APP@latest and APP@2 count from the newest", () => {
  strictEqual(found("web@latest"), "ab2200000000");
  strictEqual(found("web@2"), "ab0000000000");
  strictEqual(found("aid-of-db@latest"), "cd0000000000");
  match(failure("web@3").fault.causes?.join() ?? "", /the store holds 2 of it/);
  strictEqual(failure("mail@latest").fault.exit, 10);
});

Deno.test("a bare application name is answered with the way to write it", () => {
  match(failure("web").fault.hint ?? "", /web@latest/);
});

Deno.test("a text with a slash is a folder", () => {
  deepStrictEqual(parseReference("./web@latest"), { folder: "./web@latest" });
  deepStrictEqual(parseReference("."), { folder: "." });
});

Deno.test("what follows @ is latest or a number from 1", () => {
  for (const given of ["web@", "web@0", "web@newest", "@latest", "web@-1"]) {
    throws(() => parseReference(given));
  }
});
