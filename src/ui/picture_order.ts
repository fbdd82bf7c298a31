/** Which host stands where, and which environments share a row: decided so that few lines pass by what they do not concern. */

/** Something that spans hosts. */
interface Spanning {
  hosts: string[];
}

/** Hosts in an order in which those of an environment stand together, as far as that can be had by exchanging two at a time. */
export function orderHosts(names: readonly string[], environments: readonly Spanning[]): string[] {
  const order = [...names];
  let least = gapsIn(order, environments);
  for (let better = true; better;) {
    better = false;
    for (let one = 0; one < order.length; one++) {
      for (let other = one + 1; other < order.length; other++) {
        exchange(order, one, other);
        const gaps = gapsIn(order, environments);
        if (gaps < least) [least, better] = [gaps, true];
        else exchange(order, one, other);
      }
    }
  }
  return order;
}

/** A row for each environment: those whose hosts lie apart share one. Wide ones come first, at the top. */
export function rowsOf<T extends Spanning>(environments: readonly T[], order: readonly string[]): T[][] {
  const spans = environments.map((environment) => ({ environment, ...spanOf(environment, order) }));
  const rows: (typeof spans)[] = [];
  for (const one of spans.toSorted((a, b) => (b.last - b.first) - (a.last - a.first))) {
    const row = rows.find((others) =>
      others.every(({ first, last }) => last < one.first || one.last < first)
    );
    if (row === undefined) rows.push([one]);
    else row.push(one);
  }
  return rows.map((row) => row.map(({ environment }) => environment));
}

/** How many hosts all environments together pass by without being there. */
function gapsIn(order: readonly string[], environments: readonly Spanning[]): number {
  const gaps = environments.map((environment) => {
    const { first, last } = spanOf(environment, order);
    return last - first + 1 - environment.hosts.length;
  });
  return gaps.reduce((sum, one) => sum + one, 0);
}

function spanOf({ hosts }: Spanning, order: readonly string[]): { first: number; last: number } {
  const places = hosts.map((host) => order.indexOf(host));
  return { first: Math.min(...places), last: Math.max(...places) };
}

function exchange(order: string[], one: number, other: number): void {
  [order[one], order[other]] = [order[other] ?? "", order[one] ?? ""];
}
