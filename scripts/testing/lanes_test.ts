import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { inLanes } from "./lanes.ts";

Deno.test("every item is worked on once, and no lane does two things at a time", async () => {
  const busy = new Set<number>();
  let most = 0;
  const results = await inLanes([5, 1, 4, 2, 3], 2, async (item, lane) => {
    strictEqual(busy.has(lane), false);
    busy.add(lane);
    most = Math.max(most, busy.size);
    for (let turn = 0; turn < item; turn++) await Promise.resolve();
    busy.delete(lane);
    return item * 10;
  });
  deepStrictEqual(results, [50, 10, 40, 20, 30]);
  strictEqual(most, 2);
});

Deno.test("work that fails is told", async () => {
  await rejects(inLanes([1], 3, () => Promise.reject(new Error("no"))), /no/);
});
