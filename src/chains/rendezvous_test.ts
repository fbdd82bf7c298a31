import { deepStrictEqual, rejects } from "node:assert/strict";
import { Rendezvous } from "./rendezvous.ts";

Deno.test("nobody passes a gate before all stand there, and what is done there is done once before", async () => {
  const seen: string[] = [];
  const rendezvous = new Rendezvous(2, (gate) => void seen.push(`gate ${gate}`));
  const first = rendezvous.meet(1).then(() => seen.push("first"));
  await Promise.resolve();
  deepStrictEqual(seen.length, 0);
  await Promise.all([first, rendezvous.meet(1).then(() => seen.push("second"))]);
  deepStrictEqual(seen.toSorted(), ["first", "gate 1", "second"]);
  deepStrictEqual(seen[0], "gate 1");
});

Deno.test("one that fails takes all along, those that come later too", async () => {
  const rendezvous = new Rendezvous(2);
  const waits = rendezvous.meet(1);
  rendezvous.fail(new Error("no"));
  rendezvous.fail(new Error("later"));
  await rejects(waits, /no/);
  await rejects(rendezvous.meet(2), /no/);
});

Deno.test("what fails at a gate lets nobody pass", async () => {
  const rendezvous = new Rendezvous(1, () => {
    throw new Error("the disk is full");
  });
  await rejects(rendezvous.meet(4), /the disk is full/);
});

Deno.test("one that has nothing to do is not waited for", async () => {
  const rendezvous = new Rendezvous(2);
  const waits = rendezvous.meet(1);
  rendezvous.withdraw();
  await waits;
});
