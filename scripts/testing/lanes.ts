/** Work that is done in several lanes beside one another. */

/** Does the work for every item, at most one item in a lane at a time. Results are in the order of the items. */
export async function inLanes<Item, Result>(
  items: readonly Item[],
  lanes: number,
  work: (item: Item, lane: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const waiting = items.entries();
  const lane = async (number: number) => {
    for (const [index, item] of waiting) results[index] = await work(item, number);
  };
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  return results;
}
