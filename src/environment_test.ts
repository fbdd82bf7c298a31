import { deepStrictEqual } from "node:assert/strict";
import { applicationEnvironment } from "./environment.ts";

Deno.test("an application gets the caller's environment back", () => {
  const env = {
    PATH: "/bin",
    DENO_DIR: "/cache",
    DENO_NO_UPDATE_CHECK: "1",
    STASIS_SELF: "/usr/bin/stasis",
    STASIS_HOME: "/h",
    STASIS_ASIDE: '{"DENO_DIR":"/mine","NODE_OPTIONS":"--x"}',
  };
  deepStrictEqual(applicationEnvironment(env), {
    PATH: "/bin",
    STASIS_HOME: "/h",
    DENO_DIR: "/mine",
    NODE_OPTIONS: "--x",
  });
});

Deno.test("without a launcher nothing is taken away", () => {
  deepStrictEqual(applicationEnvironment({ DENO_DIR: "/mine" }), { DENO_DIR: "/mine" });
});
