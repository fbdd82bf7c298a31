/**
 * Where everything stands in a picture. Hosts are columns, environments are regions in them, and the regions of one
 * environment stand in one row, so that the tunnels between hosts are straight. All lengths are in pixels.
 */

import type { Picture, PictureApplication, PictureEnvironment, PictureHost } from "./picture.ts";
import { type Cell, cellOf, placeCell, type PlacedCell, widestOf } from "./picture_cells.ts";
import { orderHosts, rowsOf } from "./picture_order.ts";
import { fit, type Line, widthOf } from "./picture_text.ts";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface PlacedHost extends Box {
  host: PictureHost;
  lines: Line[];
}

/** What connects two hosts of an environment that stand next to each other, of its hosts. */
export interface Tunnel {
  environment: PictureEnvironment;
  color: number;
  from: string;
  to: string;
  left: number;
  right: number;
  y: number;
  /** How far it leads through the open, to the next host of any kind. */
  open: number;
  reachable: boolean;
}

/** The way of one environment to the outside, from one host. */
export interface Outlet {
  environment: PictureEnvironment;
  color: number;
  host: string;
  from: { x: number; y: number };
  to: { x: number; y: number };
}

/** A picture with all its places. */
export interface Layout {
  width: number;
  height: number;
  picture: Picture;
  hosts: PlacedHost[];
  cells: PlacedCell[];
  tunnels: Tunnel[];
  outlets: Outlet[];
  /** The outside, over each host that lets members there. */
  clouds: Box[];
  legend: { x: number; y: number; lines: Line[] };
}

export const MARGIN = 28;
const PADDING = 16;
const HOST_HEADER = 56;
const ROW_GAP = 18;
const GUTTER = 14;
const GAP = { alone: 36, joined: 116 };
const CLOUD = { height: 60, below: 34, least: 170, beside: 60 };
const LEGEND = { above: 12, line: 18 };
const LEAST_HOST = 210;

interface Column {
  host: PictureHost;
  cells: Cell[];
  /** Of what cells have. */
  inner: number;
  gutter: number;
}

export function layOut(picture: Picture): Layout {
  const names = orderHosts(picture.hosts.map(({ name }) => name), picture.environments);
  const rows = rowsOf(picture.environments, names);
  const columns = names.flatMap((name) => picture.hosts.filter((host) => host.name === name))
    .map((host) => columnOf(picture, host, rows));
  const hasOutside = columns.some(({ gutter }) => gutter > 0);
  const top = MARGIN + (hasOutside ? CLOUD.height + CLOUD.below : 0);
  const gap = picture.environments.some(({ hosts }) => hosts.length > 1) ? GAP.joined : GAP.alone;
  const xs = columns.map((_, index) => {
    return MARGIN + columns.slice(0, index).reduce((sum, one) => sum + widthOfColumn(one) + gap, 0);
  });
  const cells = placeRows(columns, rows, xs, top + HOST_HEADER);
  const hosts = columns.map((column, index) => placeHost(column, xs[index] ?? 0, top, cells));
  const lines = legendOf(picture);
  const right = Math.max(
    ...hosts.map(({ x, width }) => x + width),
    ...lines.map((line) => MARGIN + widthOf(line)),
  );
  const bottom = Math.max(top, ...hosts.map(({ y, height }) => y + height));
  const legend = { x: MARGIN, y: bottom + (hosts.length === 0 ? 0 : LEGEND.above), lines };
  return {
    picture,
    hosts,
    cells,
    tunnels: tunnelsOf(picture, hosts, cells),
    outlets: columns.flatMap((column, index) => outletsOf(column, hosts[index], cells)),
    clouds: columns.flatMap((column, index) => cloudOver(column, hosts[index])),
    legend,
    width: right + MARGIN,
    height: (lines.length === 0 ? bottom : legend.y + lines.length * LEGEND.line) + MARGIN,
  };
}

function columnOf(picture: Picture, host: PictureHost, rows: readonly PictureEnvironment[][]): Column {
  const own = rows.flat().filter(({ hosts }) => hosts.includes(host.name));
  const cells = own.map((environment) => {
    const color = picture.environments.indexOf(environment);
    return cellOf(environment, color, host, membersIn(picture, environment, host), picture.hosts.length);
  });
  const header = headerOf(host).map(widthOf);
  const inner = Math.max(LEAST_HOST, ...header, ...cells.map(widestOf));
  return { host, cells, inner, gutter: own.filter(({ outside }) => outside).length * GUTTER };
}

function membersIn(
  { applications }: Picture,
  environment: PictureEnvironment,
  host: PictureHost,
): PictureApplication[] {
  return applications.filter((one) => one.environment === environment.name && one.host === host.name);
}

function widthOfColumn({ inner, gutter }: Column): number {
  return inner + 2 * PADDING + gutter;
}

/** Every region, row by row: all of one environment begin at one height. */
function placeRows(
  columns: readonly Column[],
  rows: readonly PictureEnvironment[][],
  xs: readonly number[],
  top: number,
): PlacedCell[] {
  const placed: PlacedCell[] = [];
  let y = top;
  for (const row of rows) {
    const here = columns.flatMap((column, index) =>
      column.cells.filter(({ environment }) => row.includes(environment))
        .map((cell) => placeCell(cell, (xs[index] ?? 0) + PADDING, y, column.inner))
    );
    placed.push(...here);
    y += Math.max(0, ...here.map(({ height }) => height)) + ROW_GAP;
  }
  return placed;
}

function placeHost(column: Column, x: number, y: number, cells: readonly PlacedCell[]): PlacedHost {
  const own = cells.filter(({ host }) => host === column.host);
  const bottom = Math.max(y + HOST_HEADER, ...own.map((cell) => cell.y + cell.height));
  const lines = headerOf(column.host).map((line) => fit(line, column.inner));
  return { host: column.host, lines, x, y, width: widthOfColumn(column), height: bottom + PADDING - y };
}

function headerOf({ name, address, here, reachable }: PictureHost): Line[] {
  const facts = [address, here ? "this host" : undefined, reachable ? undefined : "cannot be reached"];
  const text = facts.filter((fact) => fact !== undefined).join(" · ");
  return [{ text: name, size: 15, bold: true }, { text, size: 11.5, soft: true }];
}

/** The lower a region, the further to the right its line goes up, so that none crosses another. */
function outletsOf(column: Column, placed: PlacedHost | undefined, cells: readonly PlacedCell[]): Outlet[] {
  if (placed === undefined) return [];
  const own = cells.filter(({ host, environment }) => host === column.host && environment.outside);
  const edge = placed.x + PADDING + column.inner;
  return own.toSorted((one, other) => one.y - other.y).map((
    { environment, color, x, width, bus },
    index,
  ) => ({
    environment,
    color,
    host: column.host.name,
    from: { x: x + width, y: bus },
    to: { x: edge + GUTTER * (index + 0.75), y: MARGIN + CLOUD.height / 2 },
  }));
}

/** Above the right end of a host, where the lines come up. */
function cloudOver({ gutter }: Column, host?: PlacedHost): Box[] {
  if (gutter === 0 || host === undefined) return [];
  const width = Math.min(host.width, Math.max(CLOUD.least, gutter + CLOUD.beside));
  return [{ x: host.x + host.width - width, y: MARGIN, width, height: CLOUD.height }];
}

function tunnelsOf(
  { environments }: Picture,
  hosts: readonly PlacedHost[],
  cells: readonly PlacedCell[],
): Tunnel[] {
  return environments.flatMap((environment, color) => {
    const own = hosts.filter(({ host }) => environment.hosts.includes(host.name));
    const bus = cells.find((cell) => cell.environment === environment)?.bus ?? 0;
    return own.slice(1).map((to, index): Tunnel => {
      const from = own[index] ?? to;
      const next = hosts[hosts.indexOf(from) + 1] ?? to;
      return {
        environment,
        color,
        from: from.host.name,
        to: to.host.name,
        left: from.x + from.width,
        right: to.x,
        y: bus,
        open: next.x - from.x - from.width,
        reachable: from.host.reachable && to.host.reachable,
      };
    });
  });
}

/** What needs a word: only what occurs. */
function legendOf({ hosts, applications, environments }: Picture): Line[] {
  const said = [
    environments.length === 0 ? "There are no environments" : undefined,
    applications.some(({ running }) => !running) ? "pale: has ended, and keeps its address" : undefined,
    hosts.some(({ reachable }) => !reachable)
      ? "dashed: cannot be reached, drawn as it was known last"
      : undefined,
  ];
  return said.flatMap((text) => text === undefined ? [] : [{ text, size: 11.5, soft: true }]);
}
