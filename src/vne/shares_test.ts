import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { forget, type Gift, give, type Holdings, NOTHING, take, unowned } from "./holdings.ts";
import {
  common,
  countOf,
  each,
  firstOf,
  formatNumbers,
  halfOf,
  has,
  type Numbers,
  only,
  readNumbers,
  split,
  union,
  without,
} from "./shares.ts";

/** Numbers below `limit` from a seed: the same on every run. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(state / 65_536) % limit;
  };
}

function some(roll: (limit: number) => number): Set<number> {
  return new Set(Array.from({ length: roll(30) }, () => roll(40)));
}

Deno.test("sets of numbers do what sets do", () => {
  const roll = dice(1);
  for (let round = 0; round < 500; round++) {
    const [one, other] = [some(roll), some(roll)];
    const [a, b] = [only(one), only(other)];
    deepStrictEqual([...each(union(a, b))], [...one.union(other)].sort((x, y) => x - y));
    deepStrictEqual([...each(without(a, b))], [...one.difference(other)].sort((x, y) => x - y));
    deepStrictEqual(common(a, b), only(one.intersection(other)));
    strictEqual(countOf(a), one.size);
    strictEqual(has(a, 7), one.has(7));
    deepStrictEqual(union(firstOf(a, 5), without(a, firstOf(a, 5))), a);
    const parts = split(a, 1 + roll(5));
    deepStrictEqual(union(...parts), a);
    strictEqual(parts.reduce((sum, part) => sum + countOf(part), 0), one.size, "no number is dealt twice");
    strictEqual(countOf(halfOf(a)), Math.ceil(one.size / 2));
  }
  deepStrictEqual(split([[1, 254]], 3), [[[1, 84]], [[85, 169]], [[170, 254]]]);
  deepStrictEqual([...each([[1, 3], [9, 10]], 3)], [3, 9, 10]);
  strictEqual(formatNumbers([[1, 3], [9, 9]]), "1-3, 9");
});

Deno.test("what is no set of numbers is not taken for one", () => {
  deepStrictEqual(readNumbers([[5, 6], [1, 4]]), [[1, 6]]);
  for (const wrong of [1, null, [1], [[1]], [[2, 1]], [[-1, 2]], [[1.5, 2]], [[1, 1 << 20]], [[1, 2, 3]]]) {
    strictEqual(readNumbers(wrong), undefined);
  }
});

/** Hosts that join, give, ask, leave and vanish, over a network that loses answers. */
class World {
  readonly all: Numbers = [[1, 60]];
  hosts: Record<string, Holdings> = {};
  readonly lost: [to: string, from: string, gift: Gift][] = [];
  #count = 0;

  constructor(readonly roll: (limit: number) => number) {
    const shares = split(this.all, 3);
    for (const numbers of shares) this.hosts[`h${this.#count++}`] = { ...NOTHING, numbers };
  }

  pick(): string {
    const ids = Object.keys(this.hosts);
    return ids[this.roll(ids.length)] ?? "";
  }

  of(id: string): Holdings {
    const holdings = this.hosts[id];
    if (holdings === undefined) throw new Error(id);
    return holdings;
  }

  /** One asks the other; the answer may be lost, or arrive late. */
  ask(asker: string, owner: string, choose: (owned: Numbers) => Numbers): void {
    if (asker === owner) return;
    const made = give(this.of(owner), asker, this.of(asker).taken[owner] ?? 0, choose);
    this.hosts[owner] = made.holdings;
    if (this.roll(3) === 0) this.lost.push([asker, owner, made.gift]);
    else this.hosts[asker] = take(this.of(asker), owner, made.gift);
  }

  join(): void {
    const id = `h${this.#count++}`;
    this.hosts[id] = NOTHING;
    this.ask(id, this.pick(), halfOf);
  }

  vanish(): void {
    const id = this.pick();
    if (Object.keys(this.hosts).length < 2) return;
    const { [id]: _gone, ...rest } = this.hosts;
    this.hosts = Object.fromEntries(Object.entries(rest).map(([one, its]) => [one, forget(its, [id])]));
    const heir = this.pick();
    const orphans = unowned(this.all, this.hosts);
    const holdings = this.of(heir);
    this.hosts[heir] = { ...holdings, numbers: union(holdings.numbers, orphans) };
  }

  late(): void {
    const [message] = this.lost.splice(this.roll(this.lost.length + 1), 1);
    if (message === undefined) return;
    const [to, from, gift] = message;
    // What a host that is gone sent is not heard any more.
    if (this.hosts[to] === undefined || this.hosts[from] === undefined) return;
    this.hosts[to] = take(this.of(to), from, gift);
  }

  check(): void {
    const owned = Object.values(this.hosts).map(({ numbers }) => numbers);
    const sum = owned.reduce((all, numbers) => all + countOf(numbers), 0);
    strictEqual(sum, countOf(union(...owned)), "no number has two owners");
    strictEqual(countOf(without(union(...owned), this.all)), 0, "none is made up");
  }
}

Deno.test("whatever hosts do and whichever answers are lost, no number has two owners", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const roll = dice(seed);
    const world = new World(roll);
    for (let step = 0; step < 60; step++) {
      const wanted = 1 + roll(60);
      const deeds = [
        () => world.ask(world.pick(), world.pick(), halfOf),
        () => world.ask(world.pick(), world.pick(), (owned) => common(owned, [[wanted, wanted]])),
        () => world.late(),
        () => world.join(),
        () => world.vanish(),
      ];
      deeds[roll(10) < 7 ? roll(3) : 3 + roll(2)]?.();
      world.check();
    }
  }
});

Deno.test("a gift whose answer was lost is sent again, and counts once", () => {
  const giver: Holdings = { ...NOTHING, numbers: [[1, 10]] };
  const first = give(giver, "b", 0, halfOf);
  deepStrictEqual(first.gift, { sequence: 1, numbers: [[6, 10]] });
  const again = give(first.holdings, "b", 0, halfOf);
  deepStrictEqual(again, { holdings: first.holdings, gift: first.gift });
  const receiver = take(take(NOTHING, "a", first.gift), "a", again.gift);
  deepStrictEqual(receiver, { numbers: [[6, 10]], given: {}, taken: { a: 1 } });
  deepStrictEqual(unowned([[1, 12]], { a: first.holdings, b: NOTHING }), [[11, 12]]);
  throws(() => give(first.holdings, "b", 5, halfOf), /Could not agree/);
  throws(() => take(NOTHING, "a", { sequence: 2, numbers: [] }), /Could not agree/);
});
