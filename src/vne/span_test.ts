import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import type { Home } from "../../ffi/messages.ts";
import { environmentsOf } from "./ranges.ts";
import {
  changeSpan,
  hearsay,
  holdingsOf,
  type Host,
  isBanished,
  othersOf,
  readSpan,
  selfOf,
  type Span,
  spanIn,
  withHoldings,
  wordIn,
} from "./span.ts";

function host(name: string, revision: number, first: number, last: number): Host {
  return { id: `id-${name}`, name, address: "10.0.0.1", revision, numbers: [[first, last]] };
}

function spanOf(...hosts: Host[]): Span {
  return { self: "id-a", hosts, gone: [], given: {}, taken: {} };
}

const SPAN = spanOf(host("a", 3, 1, 10), host("b", 3, 11, 20));

Deno.test("a host believes of others what they said last, and of itself nobody", () => {
  const told = { hosts: [host("a", 9, 5, 6), host("b", 4, 11, 15), host("c", 1, 16, 20)], gone: [] };
  const after = hearsay(SPAN, told);
  deepStrictEqual(selfOf(after), selfOf(SPAN));
  deepStrictEqual(othersOf(after).map(({ name, numbers }) => [name, numbers]), [
    ["b", [[11, 15]]],
    ["c", [[16, 20]]],
  ]);
  deepStrictEqual(
    hearsay(after, { hosts: [host("b", 3, 11, 20)], gone: [] }),
    after,
    "what is old is passed over",
  );
});

Deno.test("who is gone stays gone, whoever is the last to have heard of it", () => {
  const dealt: Span = {
    ...SPAN,
    given: { "id-b": { sequence: 1, numbers: [[30, 31]] } },
    taken: { "id-b": 2 },
  };
  const gone = [{ id: "id-b", name: "b" }];
  const after = hearsay(dealt, { hosts: [], gone });
  deepStrictEqual([othersOf(after), after.given, after.taken, after.gone], [[], {}, {}, gone]);
  deepStrictEqual(othersOf(hearsay(after, { hosts: [host("b", 9, 1, 2)], gone: [] })), []);
  const away = hearsay(SPAN, { hosts: [], gone: [{ id: "id-a", name: "a" }] });
  strictEqual(isBanished(away), true);
  deepStrictEqual(selfOf(away), selfOf(SPAN), "and still knows itself");
});

Deno.test("hosts that tell each other what they know come to know the same, in any order", () => {
  const hosts = ["a", "b", "c"].map((name, index) => host(name, 1, index * 10, index * 10 + 9));
  const spans = hosts.map(({ id }, index): Span => ({
    ...spanOf(...hosts.slice(0, index + 1)),
    self: id,
    gone: index === 0 ? [{ id: "id-x", name: "x" }] : [],
  }));
  for (const order of [[0, 1, 2], [2, 1, 0], [1, 0, 2]]) {
    const known = [...spans];
    for (const _round of [1, 2]) {
      for (const [at, from] of order.flatMap((one) => order.map((other) => [one, other] as const))) {
        const [receiver, sender] = [known[at], known[from]];
        if (receiver !== undefined && sender !== undefined) known[at] = hearsay(receiver, sender);
      }
    }
    for (const { hosts: there, gone } of known) {
      deepStrictEqual(there.map(({ name }) => name), ["a", "b", "c"]);
      deepStrictEqual(gone.map(({ name }) => name), ["x"]);
    }
  }
});

Deno.test("a change of what a host owns is a new word of it", () => {
  const after = withHoldings(SPAN, { ...holdingsOf(SPAN), numbers: [[1, 4]] });
  deepStrictEqual([selfOf(after).revision, selfOf(after).numbers], [4, [[1, 4]]]);
});

Deno.test("what is kept of hosts is read back, for this user alone, and refused where it is damaged", async () => {
  const base = Deno.makeTempDirSync();
  try {
    const home: Home = { data: `${base}/data`, run: `${base}/run` };
    const folder = `${environmentsOf(home)}/shop`;
    Deno.mkdirSync(folder, { recursive: true });
    strictEqual(readSpan(home, "shop"), undefined);
    await rejects(changeSpan(home, "shop", (span) => ({ span, result: 1 })), /on this host only/);
    await rejects(changeSpan(home, "bank", (span) => ({ span, result: 1 })), /Could not find/);
    const whole: Span = { ...SPAN, rsh: "ssh -p 22", secret: "00ff", directory: ["http://a:2379"] };
    Deno.writeTextFileSync(`${folder}/span.json`, JSON.stringify(whole));
    await changeSpan(home, "shop", (span) => ({ span: { ...span, remote: "/opt/stasis" }, result: 1 }));
    deepStrictEqual(readSpan(home, "shop"), { ...whole, remote: "/opt/stasis" });
    strictEqual((Deno.statSync(`${folder}/span.json`).mode ?? 0) & 0o777, 0o600);
    Deno.writeTextFileSync(`${folder}/span.json`, "{}");
    throws(() => readSpan(home, "shop"), /Could not read/);
  } finally {
    Deno.removeSync(base, { recursive: true });
  }
});

Deno.test("what comes from elsewhere is believed only where it makes sense", () => {
  const good = JSON.parse(JSON.stringify(SPAN));
  deepStrictEqual(spanIn(good), SPAN);
  const [a] = SPAN.hosts;
  const many = Array.from({ length: 1025 }, () => a);
  for (
    const wrong of [
      null,
      [],
      { ...good, self: "id-z" },
      { ...good, hosts: [{ ...a, address: "not one" }] },
      { ...good, hosts: [{ ...a, numbers: [[3, 1]] }] },
      { ...good, hosts: many },
      { ...good, gone: [{ id: 1 }] },
      { ...good, given: { x: { sequence: -1, numbers: [] } } },
      { ...good, taken: { x: "1" } },
      { ...good, directory: [1] },
      { ...good, secret: 5 },
    ]
  ) {
    strictEqual(spanIn(wrong), undefined, JSON.stringify(wrong)?.slice(0, 200));
  }
  strictEqual(wordIn({ hosts: [], gone: undefined }), undefined);
});
