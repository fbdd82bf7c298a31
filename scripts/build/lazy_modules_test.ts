import { strictEqual } from "node:assert/strict";
import { loadLazily } from "./lazy_modules.ts";

async function evaluate(source: string): Promise<Record<string, unknown>> {
  return await import(`data:text/javascript,${encodeURIComponent(loadLazily(source))}`);
}

Deno.test("a module that is loaded at its first use works as before", async () => {
  const source = `import fs from "node:fs";
import process2 from "node:process";
export const found = fs.existsSync("/proc/self/status");
export const platform = process2.platform;`;
  strictEqual(loadLazily(source).includes("import"), false);
  const { found, platform } = await evaluate(source);
  strictEqual(found, true);
  strictEqual(platform, "linux");
});

Deno.test("other imports stay as they are", () => {
  const source = `import { resolve } from "node:path";\nimport { constants } from "node:fs";\n`;
  strictEqual(loadLazily(source), source);
});
