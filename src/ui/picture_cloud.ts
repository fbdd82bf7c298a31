/** A cloud as one draws it: an oval of bows. */

import type { Box } from "./picture_layout.ts";

/** How far apart the ends of a bow lie, about; in pixels. */
const BOW = 30;
/** The radius of a bow, by the distance of its ends: half of it would make half circles. */
const ROUNDNESS = 0.56;
/** How far a bow of that roundness rises above its ends, by their distance. */
const RISE = ROUNDNESS - Math.sqrt(ROUNDNESS ** 2 - 0.25);

/** An outline that stays within the box. */
export function cloudPath(box: Box): string {
  const [width, height] = [box.width - 2 * RISE * BOW, box.height - 2 * RISE * BOW];
  const radius = height / 2;
  const straight = width - height;
  const length = 2 * straight + 2 * Math.PI * radius;
  const bows = Math.max(6, Math.round(length / BOW));
  const ends = Array.from({ length: bows }, (_, index) => {
    const [x, y] = pointAt(index * length / bows, straight, radius);
    return [box.x + RISE * BOW + radius + x, box.y + box.height / 2 + y].map((one) => one.toFixed(1)).join(
      " ",
    );
  });
  const bend = (length / bows * ROUNDNESS).toFixed(1);
  const [first = ""] = ends;
  const arcs = [...ends.slice(1), first].map((end) => `A${bend} ${bend} 0 0 1 ${end}`);
  return `M${first} ${arcs.join(" ")} Z`;
}

/** A point on the edge of a box with round ends, so far along it; from the upper left, clockwise. */
function pointAt(distance: number, straight: number, radius: number): [x: number, y: number] {
  const bend = Math.PI * radius;
  if (distance < straight) return [distance, -radius];
  if (distance < straight + bend) {
    const angle = (distance - straight) / radius;
    return [straight + radius * Math.sin(angle), -radius * Math.cos(angle)];
  }
  if (distance < 2 * straight + bend) return [2 * straight + bend - distance, radius];
  const angle = (distance - 2 * straight - bend) / radius;
  return [-radius * Math.sin(angle), radius * Math.cos(angle)];
}
