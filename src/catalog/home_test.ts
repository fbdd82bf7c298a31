import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { locateHome } from "./home.ts";
import { StasisError } from "../../ffi/error.ts";

function locate(root: boolean, env: Record<string, string>): { data: string; run: string } {
  return locateHome({ root, env: (name) => env[name] });
}

Deno.test("root keeps state in the system's folders", () => {
  deepStrictEqual(locate(true, { HOME: "/root" }), { data: "/var/lib/stasis", run: "/run/stasis" });
});

Deno.test("an ordinary user keeps state in the XDG folders", () => {
  const env = { HOME: "/home/ann", XDG_DATA_HOME: "/data/ann", XDG_RUNTIME_DIR: "/run/user/7" };
  deepStrictEqual(locate(false, env), { data: "/data/ann/stasis", run: "/run/user/7/stasis" });
});

Deno.test("without a login session run-time state lies in the home folder", () => {
  const { data, run } = locate(false, { HOME: "/home/ann", XDG_DATA_HOME: "relative" });
  strictEqual(data, "/home/ann/.local/share/stasis");
  strictEqual(run, "/home/ann/.local/share/stasis/run");
});

Deno.test("STASIS_HOME overrides both, for root too", () => {
  deepStrictEqual(locate(true, { STASIS_HOME: "/x" }), { data: "/x/data", run: "/x/run" });
});

Deno.test("a user without any folder is told what to set", () => {
  throws(
    () => locate(false, {}),
    (error) => error instanceof StasisError && /STASIS_HOME/.test(error.fault.hint ?? ""),
  );
});
