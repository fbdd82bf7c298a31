import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Home } from "../../ffi/messages.ts";
import { storeOf } from "../catalog/home.ts";
import { exists } from "../catalog/tree.ts";
import { type ChainRecord, chainsOf, listChains } from "./records.ts";
import { settleStagings, Staging } from "./staging.ts";

const ID = "0123456789ab";
const SNAPSHOT = "cccccccccccc";
const RECORD: ChainRecord = {
  id: ID,
  created: "2026-01-01T00:00:00Z",
  members: [{ name: "web", aid: "aa0000000000", snapshot: SNAPSHOT }],
  tags: [],
};

function withHome(test: (home: Home) => void): void {
  const data = Deno.makeTempDirSync();
  try {
    test({ data, run: `${data}/run` });
  } finally {
    Deno.removeSync(data, { recursive: true });
  }
}

function stagings(home: Home): string[] {
  return [...Deno.readDirSync(chainsOf(home))].map(({ name }) => name).filter((name) => name.startsWith("."));
}

Deno.test("a chain that is committed has its snapshots in the store", () =>
  withHome((home) => {
    using staging = Staging.open(home, ID);
    Deno.mkdirSync(staging.placeFor(SNAPSHOT));
    deepStrictEqual(listChains(home), []);
    staging.commit(RECORD);
    deepStrictEqual(listChains(home), [RECORD]);
    ok(exists(`${storeOf(home)}/${SNAPSHOT}`));
    deepStrictEqual(stagings(home), []);
  }));

Deno.test("what was not committed goes, at the end or after the end of its maker", () =>
  withHome((home) => {
    {
      using staging = Staging.open(home, ID);
      Deno.mkdirSync(staging.placeFor(SNAPSHOT));
      settleStagings(home);
      strictEqual(stagings(home).length, 1, "its maker lives");
    }
    deepStrictEqual(stagings(home), []);
    Deno.mkdirSync(`${chainsOf(home)}/.staging-${ID}-4194303-1/${SNAPSHOT}`, { recursive: true });
    settleStagings(home);
    deepStrictEqual(stagings(home), []);
    ok(!exists(`${storeOf(home)}/${SNAPSHOT}`));
  }));

Deno.test("what a command that was killed had committed is finished by the next one", () =>
  withHome((home) => {
    using staging = Staging.open(home, ID);
    staging.commit({ ...RECORD, members: [] });
    Deno.mkdirSync(`${chainsOf(home)}/.staging-${ID}-4194303-1/${SNAPSHOT}`, { recursive: true });
    settleStagings(home);
    ok(exists(`${storeOf(home)}/${SNAPSHOT}`));
    deepStrictEqual(stagings(home), []);
  }));
