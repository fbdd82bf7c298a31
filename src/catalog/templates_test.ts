import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import type { Home } from "../../ffi/messages.ts";
import { createTemplate, findTemplate, listTemplates, removeTemplate, templatesOf } from "./templates.ts";

/** A home with a folder that looks like an image; both vanish in the end. */
class Place implements Disposable {
  readonly base = Deno.makeTempDirSync();
  readonly home: Home = { data: `${this.base}/data`, run: `${this.base}/run` };
  readonly image = `${this.base}/image`;

  constructor() {
    Deno.mkdirSync(`${this.image}/packs`, { recursive: true });
    Deno.writeTextFileSync(`${this.image}/manifest`, "manifest");
    Deno.writeTextFileSync(`${this.image}/packs/a.pack`, "pages");
  }

  create(name: string, rules?: string) {
    const card = { name, created: "2026-01-01T00:00:00.000Z", application: "web", generation: 1 };
    return createTemplate(this.home, card, this.image, rules);
  }

  names(): string[] {
    return listTemplates(this.home, () => {}).map((one) => one.name);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.base, { recursive: true });
  }
}

Deno.test("a template is complete on its own", async () => {
  using place = new Place();
  const made = await place.create("web", 'name = "x"');
  Deno.removeSync(place.image, { recursive: true });
  deepStrictEqual(findTemplate(place.home, "web"), made);
  strictEqual(Deno.readTextFileSync(`${made.image}/packs/a.pack`), "pages");
  strictEqual(Deno.readTextFileSync(`${made.image}/manifest`), "manifest");
  strictEqual(made.rules, 'name = "x"');
  strictEqual(Deno.statSync(`${templatesOf(place.home)}/web`).mode! & 0o777, 0o700);
});

Deno.test("a name is given once, and again when it has become free", async () => {
  using place = new Place();
  await place.create("web");
  await rejects(() => place.create("web"), /Could not create the template "web"/);
  removeTemplate(place.home, "web");
  deepStrictEqual(place.names(), []);
  await place.create("web");
  deepStrictEqual(place.names(), ["web"]);
  throws(() => removeTemplate(place.home, "mail"), /Could not find a template "mail"/);
  throws(() => findTemplate(place.home, "../web"), /as a name/);
});

Deno.test("what cannot be made leaves nothing, and what killed commands left is swept away", async () => {
  using place = new Place();
  Deno.removeSync(place.image, { recursive: true });
  await rejects(() => place.create("web"), /Could not create the template "web"/);
  const folder = templatesOf(place.home);
  deepStrictEqual([...Deno.readDirSync(folder)], []);
  Deno.mkdirSync(`${folder}/.web.partial-4194305/image`, { recursive: true });
  Deno.mkdirSync(`${folder}/.web.partial-1/image`, { recursive: true });
  deepStrictEqual(place.names(), []);
  Deno.mkdirSync(place.image);
  await place.create("other");
  const left = [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
  deepStrictEqual(left, [".web.partial-1", "other"]);
});

Deno.test("a template that cannot be read is named, passed over, and can be removed", async () => {
  using place = new Place();
  await place.create("a");
  Deno.writeTextFileSync(`${templatesOf(place.home)}/a/template.json`, "{}");
  await place.create("b");
  const damaged: string[] = [];
  const found = listTemplates(place.home, (name) => damaged.push(name));
  deepStrictEqual([found.map((one) => one.name), damaged], [["b"], ["a"]]);
  ok(findTemplate(place.home, "b").image.endsWith("/b/image"));
  throws(() => findTemplate(place.home, "a"), /Could not read the template "a"/);
  removeTemplate(place.home, "a");
  deepStrictEqual(listTemplates(place.home, (name) => damaged.push(name)).length + damaged.length, 2);
});
