/** The region of one environment in one host: its name, its wire, and the applications that hang on it. */

import type { PictureApplication, PictureEnvironment, PictureHost, PicturePort } from "./picture.ts";
import type { Box } from "./picture_layout.ts";
import { fit, type Line, widthOf } from "./picture_text.ts";

/** A region that has no place yet. */
export interface Cell {
  environment: PictureEnvironment;
  /** Which of the colours it has. */
  color: number;
  host: PictureHost;
  members: Member[];
  lines: Line[];
  /** Of each application's box. */
  box: number;
  columns: number;
}

export interface Member {
  application: PictureApplication;
  lines: Line[];
}

export interface PlacedMember extends Member, Box {
  /** The wire above it. */
  wire: number;
}

/** A piece of the wire: one above each row of applications. */
export interface Wire {
  left: number;
  right: number;
  y: number;
}

export interface PlacedCell extends Box, Omit<Cell, "members"> {
  members: PlacedMember[];
  wires: Wire[];
  /** How high the first wire lies, where tunnels join. */
  bus: number;
}

const PADDING = 12;
const BETWEEN = 12;
const STUB = 14;
const TEXT = { padding: 9, line: 15, top: 18 };
const HEADER_LINE = 16;
const BOX = { least: 96, most: 250 };
const MOST_PORTS = 4;
/** Longer names are cut, where nothing else makes room for them. */
const MOST_HEADER = 320;

export function cellOf(
  environment: PictureEnvironment,
  color: number,
  host: PictureHost,
  applications: readonly PictureApplication[],
  hosts: number,
): Cell {
  const members = applications.map((application) => ({ application, lines: linesOf(application) }));
  const widest = Math.max(0, ...members.flatMap(({ lines }) => lines.map(widthOf)));
  const box = Math.ceil(Math.min(BOX.most, Math.max(BOX.least, widest + 2 * TEXT.padding)));
  const lines: Line[] = [
    { text: environment.name, size: 13, bold: true },
    { text: environment.ranges.join("  "), size: 11, soft: true },
    ...(members.length === 0 ? [{ text: "no applications here", size: 11, soft: true }] : []),
  ];
  return { environment, color, host, members, lines, box, columns: columnsFor(members.length, hosts) };
}

/** About as wide as high; narrower where several hosts stand side by side. */
function columnsFor(members: number, hosts: number): number {
  const wanted = Math.ceil(Math.sqrt(members * 1.3 / Math.sqrt(hosts)));
  return Math.max(1, Math.min(members, Math.max(wanted, hosts === 1 ? 3 : 2)));
}

/** How wide a region would like to be. */
export function widestOf({ box, columns, lines }: Cell): number {
  const boxes = columns * box + (columns - 1) * BETWEEN;
  return Math.max(boxes, ...lines.map((line) => Math.min(MOST_HEADER, widthOf(line)))) + 2 * PADDING;
}

/** Gives a region its place. Where it is wider than it wanted, more applications stand in a row. */
export function placeCell(cell: Cell, x: number, y: number, width: number): PlacedCell {
  const inner = width - 2 * PADDING;
  const columns = Math.max(
    1,
    Math.min(cell.members.length, Math.floor((inner + BETWEEN) / (cell.box + BETWEEN))),
  );
  const bus = y + PADDING + 2 * HEADER_LINE + 6;
  const members: PlacedMember[] = [];
  const wires: Wire[] = [];
  let wire = bus;
  for (let first = 0; first < cell.members.length; first += columns) {
    const row = cell.members.slice(first, first + columns);
    const height = Math.max(...row.map(({ lines }) => heightOf(lines)));
    for (const [index, member] of row.entries()) {
      const left = x + PADDING + index * (cell.box + BETWEEN);
      const lines = member.lines.map((line) => fit(line, cell.box - 2 * TEXT.padding));
      members.push({ ...member, lines, x: left, y: wire + STUB, width: cell.box, height, wire });
    }
    wires.push({ left: x, right: x + width, y: wire });
    wire += STUB + height + BETWEEN;
  }
  if (wires.length === 0) wires.push({ left: x, right: x + width, y: bus });
  const lines = cell.lines.map((line) => fit(line, inner));
  const bottom = members.length === 0 ? bus + 30 : wire - BETWEEN + PADDING;
  return { ...cell, lines, columns, members, wires, bus, x, y, width, height: bottom - y };
}

function heightOf(lines: readonly Line[]): number {
  return TEXT.top + (lines.length - 1) * TEXT.line + TEXT.padding;
}

function linesOf({ name, addresses, published, running }: PictureApplication): Line[] {
  const ports = published.length > MOST_PORTS ? published.slice(0, MOST_PORTS - 1) : published;
  const more = published.length - ports.length;
  return [
    { text: name, size: 12.5, bold: true },
    ...addresses.map((text) => ({ text, size: 11 })),
    ...ports.map((port) => ({ text: describePort(port), size: 11, soft: true })),
    ...(more > 0 ? [{ text: `and ${more} more ports`, size: 11, soft: true }] : []),
    ...(running ? [] : [{ text: "ended", size: 11, soft: true }]),
  ];
}

/** A port of the host and where it leads. */
export function describePort({ protocol, port, host }: PicturePort): string {
  return `port ${host} → ${port}${protocol === "udp" ? "/udp" : ""}`;
}
