import { match, strictEqual, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";
import { resolveApplication } from "./applications.ts";

function application(aid: string, name: string, state: Application["state"], started: string): Application {
  return { aid, name, state, started, command: [name], network: "host" };
}

const APPLICATIONS = [
  application("aa00000000aa", "web", "exited", "2026-01-03T00:00:00Z"),
  application("aa11111111aa", "web", "running", "2026-01-02T00:00:00Z"),
  application("bb00000000bb", "db", "exited", "2026-01-01T00:00:00Z"),
  application("bb11111111bb", "db", "exited", "2026-01-02T00:00:00Z"),
];

function failure(given: string): StasisError {
  try {
    resolveApplication(APPLICATIONS, given);
  } catch (error) {
    if (error instanceof StasisError) return error;
  }
  throw new Error(`"${given}" was found`);
}

Deno.test("a name means the running application before one that ended", () => {
  strictEqual(resolveApplication(APPLICATIONS, "web").aid, "aa11111111aa");
});

Deno.test("among those that ended a name means the newest", () => {
  strictEqual(resolveApplication(APPLICATIONS, "db").aid, "bb11111111bb");
});

Deno.test("an AID may be shortened while it is unique", () => {
  strictEqual(resolveApplication(APPLICATIONS, "aa0").aid, "aa00000000aa");
  strictEqual(failure("aa").fault.exit, 2);
  match(failure("aa").fault.causes?.join() ?? "", /aa00000000aa \(web\), aa11111111aa \(web\)/);
  throws(() => resolveApplication(APPLICATIONS, "a"));
});

Deno.test("an unknown name ends with exit code 10 and says what runs", () => {
  strictEqual(failure("wbe").fault.exit, 10);
  match(failure("wbe").fault.hint ?? "", /Running are "web"/);
  match(failure("4711").fault.hint ?? "", /--pid/);
});
