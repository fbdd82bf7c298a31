/** A laid out picture as SVG: what lies behind is written first. */

import { cloudPath } from "./picture_cloud.ts";
import { describePort, type PlacedCell, type PlacedMember } from "./picture_cells.ts";
import type { Box, Layout, Outlet, PlacedHost, Tunnel } from "./picture_layout.ts";
import { escapeXml, type Line } from "./picture_text.ts";
import { colorOf, STYLE } from "./picture_style.ts";

type Attributes = Readonly<Record<string, string | number | undefined>>;

export function render(layout: Layout): string {
  const { width, height, picture, legend } = layout;
  const [w, h] = [Math.ceil(width), Math.ceil(height)];
  const names = picture.environments.map(({ name }) => name).join(", ");
  const parts = [
    element("title", {}, escapeXml(names === "" ? "No environments" : `Environments: ${names}`)),
    element("desc", {}, escapeXml(summaryOf(layout))),
    element("style", {}, STYLE),
    element("rect", { class: "st-paper", x: 0, y: 0, width: w, height: h }),
    ...layout.tunnels.map(tunnel),
    ...layout.hosts.map(host),
    ...layout.outlets.map(outlet),
    ...layout.tunnels.flatMap((one) => ends(one, layout)),
    ...layout.cells.map(cell),
    ...layout.clouds.map(cloud),
    ...legend.lines.map((line, index) => text(line, legend.x, legend.y + 14 + index * 18)),
  ];
  const attributes = {
    xmlns: "http://www.w3.org/2000/svg",
    width: w,
    height: h,
    viewBox: `0 0 ${w} ${h}`,
    role: "img",
    "font-family": "'DejaVu Sans', Verdana, 'Segoe UI', system-ui, sans-serif",
  };
  return `${element("svg", attributes, `\n${parts.join("\n")}\n`)}\n`;
}

function summaryOf({ picture: { hosts, applications } }: Layout): string {
  const running = applications.filter((one) => one.running).length;
  return `${hosts.length} hosts (${
    hosts.map(({ name }) => name).join(", ")
  }), ${running} running applications`;
}

/** The stretch between two hosts: a tube, since what is in it is in nobody's reach. It passes behind hosts that it does not concern. */
function tunnel({ environment, color, from, to, left, right, y, open, reachable }: Tunnel): string {
  const how = environment.encrypted ? "VXLAN in IPsec" : "VXLAN";
  const ends = { x1: left, x2: right, y1: y, y2: y };
  const dashes = reachable ? {} : { "stroke-dasharray": "7 6" };
  const label = { text: environment.encrypted ? "encrypted" : "tunnel", size: 10.5, soft: true };
  return group([
    title(
      `${environment.name}: ${from} and ${to}, ${how}${reachable ? "" : "; one of them cannot be reached"}`,
    ),
    element("line", { ...ends, ...dashes, stroke: colorOf(color), "stroke-width": 13 }),
    element("line", { ...ends, class: "st-tube", "stroke-width": 9.5 }),
    element("line", { ...ends, ...dashes, stroke: colorOf(color), "stroke-width": 2 }),
    text(label, left + open / 2, y - 12, "middle"),
  ]);
}

/** From the edge of a host to the region in it. */
function ends({ environment, color, from, to, left, right, y }: Tunnel, { cells }: Layout): string[] {
  const own = cells.filter((one) => one.environment === environment);
  const first = own.find(({ host }) => host.name === from);
  const last = own.find(({ host }) => host.name === to);
  if (first === undefined || last === undefined) return [];
  const stroke = { stroke: colorOf(color), "stroke-width": 3 };
  return [
    element("line", { x1: first.x + first.width, x2: left, y1: y, y2: y, ...stroke }),
    element("line", { x1: right, x2: last.x, y1: y, y2: y, ...stroke }),
  ];
}

function host({ host, lines, ...box }: PlacedHost): string {
  const dashes = host.reachable ? {} : { "stroke-dasharray": "8 6" };
  return group([
    title(`Host ${host.name}${host.here ? ", this one" : ""}${host.reachable ? "" : ", cannot be reached"}`),
    element("rect", { class: "st-host", ...place(box), rx: 10, ...dashes }),
    ...lines.map((line, index) => text(line, box.x + 16, box.y + 26 + index * 18)),
  ]);
}

function outlet({ environment, color, host, from, to }: Outlet): string {
  const d = `M${points(from.x, from.y)} H${round(to.x)} V${round(to.y)}`;
  return group([
    title(`${environment.name}: members on ${host} may reach the outside`),
    element("path", {
      d,
      fill: "none",
      stroke: colorOf(color),
      "stroke-width": 2,
      "stroke-dasharray": "2 4",
    }),
  ]);
}

function cell({ environment, color, lines, members, wires, bus, ...box }: PlacedCell): string {
  const stroke = { stroke: colorOf(color), "stroke-width": 3, "stroke-linecap": "round" };
  const last = wires.at(-1)?.y ?? bus;
  const riser = wires.length < 2
    ? []
    : [element("path", { d: `M${points(box.x, bus)} V${round(last)}`, ...stroke })];
  return group([
    title(`Environment ${environment.name}, ${environment.ranges.join(" and ")}`),
    element("rect", {
      class: "st-region",
      ...place(box),
      rx: 8,
      fill: colorOf(color),
      stroke: colorOf(color),
    }),
    ...lines.map((line, index) => text(line, box.x + 12, index < 2 ? box.y + 22 + index * 16 : bus + 20)),
    ...riser,
    ...wires.map(({ left, right, y }, index) =>
      element("path", {
        d: `M${points(left, y)} H${round(index === 0 ? right : endOf(members, y))}`,
        ...stroke,
      })
    ),
    ...members.map((one) => member(one, color)),
  ]);
}

/** A wire below the first one leads as far as there is somebody on it. */
function endOf(members: readonly PlacedMember[], wire: number): number {
  return Math.max(...members.filter((one) => one.wire === wire).map(({ x, width }) => x + width / 2));
}

function member({ application, lines, wire, ...box }: PlacedMember, color: number): string {
  const { name, addresses, published, running } = application;
  const middle = box.x + box.width / 2;
  const said = [addresses.join(" and "), running ? "running" : "ended", ...published.map(describePort)];
  const shown = running ? { class: "st-app" } : { class: "st-app", "stroke-dasharray": "4 3" };
  const inner = [
    title(`${name}: ${said.join(", ")}`),
    element("path", {
      d: `M${points(middle, wire)} V${round(box.y)}`,
      stroke: colorOf(color),
      "stroke-width": 2,
    }),
    element("circle", { cx: round(middle), cy: round(wire), r: 3.5, fill: colorOf(color) }),
    element("rect", { ...shown, ...place(box), rx: 5, stroke: colorOf(color) }),
    ...lines.map((line, index) => text(line, middle, box.y + 18 + index * 15, "middle")),
  ];
  return running ? group(inner) : element("g", { class: "st-ended" }, inner.join(""));
}

function cloud(box: Box): string {
  const label = { text: "outside", size: 13, bold: true };
  return group([
    title("What is not of these environments"),
    element("path", { class: "st-cloud", d: cloudPath(box) }),
    text(label, box.x + box.width / 2, box.y + box.height / 2 + 5, "middle"),
  ]);
}

function text({ text, size, bold, soft }: Line, x: number, y: number, anchor?: "middle"): string {
  const attributes = {
    class: soft === true ? "st-soft" : "st-ink",
    x: round(x),
    y: round(y),
    "font-size": size,
    ...(bold === true && { "font-weight": "bold" }),
    ...(anchor !== undefined && { "text-anchor": anchor }),
  };
  return element("text", attributes, escapeXml(text));
}

function title(text: string): string {
  return element("title", {}, escapeXml(text));
}

function group(parts: readonly string[]): string {
  return element("g", {}, parts.join(""));
}

/** `inner` is markup; attributes are ours, and not text from anywhere. One that is undefined is left out. */
function element(name: string, attributes: Attributes, inner = ""): string {
  const given = Object.entries(attributes).filter(([, value]) => value !== undefined);
  const words = given.map(([key, value]) => ` ${key}="${value}"`).join("");
  return inner === "" ? `<${name}${words}/>` : `<${name}${words}>${inner}</${name}>`;
}

function place({ x, y, width, height }: Box): Attributes {
  return { x: round(x), y: round(y), width: round(width), height: round(height) };
}

function points(x: number, y: number): string {
  return `${round(x)} ${round(y)}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
