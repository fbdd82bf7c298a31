import { deepStrictEqual, strictEqual } from "node:assert/strict";
import type { Application } from "../../ffi/messages.ts";
import { renderLineage } from "../ui/templates.ts";
import { lineageOf } from "./lineage.ts";
import type { TemplateCard } from "./templates.ts";

function card(name: string, parent?: string, generation = 1): TemplateCard {
  return { name, created: "", generation, application: "web", ...(parent !== undefined && { parent }) };
}

function app(name: string, template?: string, state: Application["state"] = "running"): Application {
  const origin = template === undefined ? undefined : { template, generation: 1 };
  return {
    aid: `aid-${name}`,
    name,
    state,
    started: "",
    command: [],
    network: "host",
    ...(origin !== undefined && { origin }),
  };
}

Deno.test("templates stand below what they come of, and clones below their template", () => {
  const templates = [card("web"), card("grown", "web", 2), card("late", "gone", 3)];
  const applications = [app("web"), app("web-1", "web"), app("old", "web", "exited"), app("x", "lost")];
  deepStrictEqual(renderLineage(lineageOf(templates, applications), false), [
    "gone (removed)",
    '`-- late (template of "web", generation 3)',
    "lost (removed)",
    "`-- x (aid-x, running)",
    'web (template of "web")',
    "|-- web-1 (aid-web-1, running)",
    '`-- grown (template of "web", generation 2)',
  ]);
});

Deno.test("templates that seem to come of each other are shown once", () => {
  const lineage = lineageOf([card("a", "b"), card("b", "a"), card("c", "c")], []);
  deepStrictEqual(renderLineage(lineage, true), ["a", "`-- b", "c"]);
  strictEqual(lineage.length, 2);
});
