/** Sets of numbers, as a list of runs: which of an environment's addresses belong to which host. */

/** From the first to the last, both included. */
export type Run = readonly [first: number, last: number];

/** Runs in ascending order, with a gap between each and the next. */
export type Numbers = readonly Run[];

/** Brings runs into order; what overlaps or touches becomes one. */
export function numbersOf(runs: readonly Run[]): Numbers {
  const joined: [number, number][] = [];
  for (const [first, last] of runs.toSorted(([one], [other]) => one - other)) {
    const before = joined.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else joined.push([first, last]);
  }
  return joined;
}

/** The set of single numbers. */
export function only(numbers: Iterable<number>): Numbers {
  return numbersOf([...numbers].map((number): Run => [number, number]));
}

export function has(numbers: Numbers, number: number): boolean {
  return numbers.some(([first, last]) => number >= first && number <= last);
}

export function countOf(numbers: Numbers): number {
  return numbers.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

export function union(...sets: readonly Numbers[]): Numbers {
  return numbersOf(sets.flat());
}

/** What is in the first set and not in the second. */
export function without(numbers: Numbers, taken: Numbers): Numbers {
  return taken.reduce<Numbers>((left, [first, last]) =>
    left.flatMap((run): Run[] => {
      if (run[1] < first || run[0] > last) return [run];
      const parts: Run[] = [[run[0], first - 1], [last + 1, run[1]]];
      return parts.filter(([from, to]) => from <= to);
    }), numbers);
}

export function common(one: Numbers, other: Numbers): Numbers {
  return without(one, without(one, other));
}

/** The first `count` of a set, or all of it. */
export function firstOf(numbers: Numbers, count: number): Numbers {
  let left = count;
  return numbers.flatMap(([first, last]): Run[] => {
    const taken = Math.min(left, last - first + 1);
    left -= taken;
    return taken === 0 ? [] : [[first, first + taken - 1]];
  });
}

/** Deals a set out in `parts` neighbouring shares; sizes differ by one at most. */
export function split(numbers: Numbers, parts: number): Numbers[] {
  const all = countOf(numbers);
  let left = numbers;
  return Array.from({ length: parts }, (_, index) => {
    const size = Math.floor(all * (index + 1) / parts) - Math.floor(all * index / parts);
    const share = firstOf(left, size);
    left = without(left, share);
    return share;
  });
}

/** The upper half of a set; of a single number, that one. */
export function halfOf(numbers: Numbers): Numbers {
  return without(numbers, firstOf(numbers, Math.floor(countOf(numbers) / 2)));
}

/** Numbers from `from` on, one by one. */
export function* each(numbers: Numbers, from = 0): Generator<number> {
  for (const [first, last] of numbers) {
    for (let number = Math.max(first, from); number <= last; number++) yield number;
  }
}

/** As one reads it: `1-85, 90`. */
export function formatNumbers(numbers: Numbers): string {
  return numbers.map(([first, last]) => first === last ? String(first) : `${first}-${last}`).join(", ");
}

/** How many runs a set from elsewhere may have, and how large its numbers may be. */
const MOST_RUNS = 1 << 16;
const LARGEST = (1 << 20) - 1;

/** Reads a set that came from a file or another host; undefined where it is none. */
export function readNumbers(value: unknown): Numbers | undefined {
  if (!Array.isArray(value) || value.length > MOST_RUNS) return undefined;
  const sound = value.every((run: unknown): run is Run =>
    Array.isArray(run) && run.length === 2 && run.every(Number.isInteger) &&
    run[0] >= 0 && run[0] <= run[1] && run[1] <= LARGEST
  );
  return sound ? numbersOf(value.map(([first, last]): Run => [first, last])) : undefined;
}
