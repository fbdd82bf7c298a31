import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import type { Frame } from "../remote/frames.ts";
import { gone, Inbox, type Talk } from "../remote/talk.ts";
import { hearOutcome, orderIn } from "./order.ts";
import { hearWord, receiveFolder, sendFolder } from "./parcels.ts";

/** Both ends of a conversation, without hosts. */
function ends(): [Talk, Talk, () => void] {
  const [left, right] = [new Inbox(), new Inbox()];
  const talk = (own: Inbox, other: Inbox): Talk => ({
    say: (value) => other.put({ value }),
    send: (bytes) => other.put({ bytes: bytes.slice() }),
    hear: (): Promise<Frame> => own.take(),
    gone: own.gone,
  });
  const cut = () => [left, right].forEach((one) => one.end(gone("the other host")));
  return [talk(left, right), talk(right, left), cut];
}

/** A folder with a large file and a small one. */
function sample(base: string): string {
  const folder = `${base}/here`;
  Deno.mkdirSync(`${folder}/packs`, { recursive: true });
  Deno.writeFileSync(`${folder}/packs/a.pack`, crypto.getRandomValues(new Uint8Array(60_000)));
  Deno.writeTextFileSync(`${folder}/manifest`, "first");
  return folder;
}

Deno.test("a folder arrives as it was, and the next one refers to its files", async () => {
  const base = Deno.makeTempDirSync();
  const first = sample(base);
  const last = `${base}/later`;
  Deno.mkdirSync(`${last}/packs`, { recursive: true });
  Deno.linkSync(`${first}/packs/a.pack`, `${last}/packs/a.pack`);
  Deno.writeTextFileSync(`${last}/manifest`, "last");
  Deno.mkdirSync(`${base}/there`);
  const [here, there] = ends();
  const [, files] = await Promise.all([
    sendFolder(here, { dir: first, path: "first" }),
    receiveFolder(there, `${base}/there`, "first"),
  ]);
  deepStrictEqual([...files].sort(), ["first/manifest", "first/packs/a.pack"]);
  let sent = 0;
  const counting = {
    ...here,
    gone: here.gone,
    send: (bytes: Uint8Array) => {
      sent += bytes.length;
      return here.send(bytes);
    },
  };
  await Promise.all([
    sendFolder(counting, { dir: last, path: "last" }, { dir: first, path: "first" }),
    receiveFolder(there, `${base}/there`, "last", { known: files, durable: false }),
  ]);
  strictEqual(sent < 8192, true, `${sent} bytes were sent again`);
  strictEqual(Deno.readTextFileSync(`${base}/there/last/manifest`), "last");
  deepStrictEqual(
    Deno.readFileSync(`${base}/there/last/packs/a.pack`),
    Deno.readFileSync(`${first}/packs/a.pack`),
  );
  Deno.removeSync(base, { recursive: true });
});

Deno.test("a folder that does not arrive as a whole is an error", async () => {
  const base = Deno.makeTempDirSync();
  const folder = sample(base);
  const [here, there, cut] = ends();
  const receiving = rejects(receiveFolder(there, base, "first"), { message: /Lost the connection/ });
  await here.send(new Uint8Array(100));
  cut();
  await receiving;
  await rejects(sendFolder(here, { dir: folder, path: "first" }));
  Deno.removeSync(base, { recursive: true });
});

Deno.test("names in what is sent cannot lead elsewhere", async () => {
  const base = Deno.makeTempDirSync();
  const folder = sample(base);
  const [here, there] = ends();
  const sending = sendFolder(here, { dir: folder, path: "first" });
  await rejects(receiveFolder(there, base, "last"), { message: /./ });
  await sending.catch(() => {});
  strictEqual([...Deno.readDirSync(base)].length, 1);
  Deno.removeSync(base, { recursive: true });
});

Deno.test("what makes no sense is refused", async () => {
  const [here, there] = ends();
  await here.say("hello");
  await rejects(hearWord(there, "ready"), { message: /Could not understand/ });
  await here.say({ alive: { aid: 7 } });
  await rejects(hearOutcome(there), { message: /Could not understand/ });
  await here.say({ failed: { message: "no" } });
  deepStrictEqual(await hearOutcome(there), { failed: { message: "no" }, left: true });
  for (
    const wrong of [undefined, {}, { name: "web" }, { name: "web", links: [{}] }, { name: "..", links: [] }]
  ) {
    throws(() => orderIn(wrong), { name: "StasisError" });
  }
  deepStrictEqual(orderIn({ name: "web", links: [], more: 1 }), { name: "web", links: [] });
});
