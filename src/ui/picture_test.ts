import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import {
  drawPicture,
  type Picture,
  type PictureApplication,
  type PictureEnvironment,
  type PictureHost,
} from "./picture.ts";
import { type Box, layOut } from "./picture_layout.ts";
import { orderHosts, rowsOf } from "./picture_order.ts";
import { elementsOf } from "./xml_workbench.ts";

const host = (name: string, more: Partial<PictureHost> = {}): PictureHost => ({
  name,
  here: false,
  reachable: true,
  ...more,
});

const environment = (
  name: string,
  hosts: string[],
  more: Partial<PictureEnvironment> = {},
): PictureEnvironment => ({
  name,
  hosts,
  ranges: ["10.10.2.0/24"],
  outside: false,
  encrypted: false,
  ...more,
});

const member = (
  name: string,
  environment: string,
  host: string,
  more: Partial<PictureApplication> = {},
): PictureApplication => ({
  ...{ name, environment, host, addresses: ["10.10.2.1"], running: true, published: [], ...more },
});

const ALONE: Picture = {
  environments: [environment("shop", ["alpha"])],
  hosts: [host("alpha", { here: true })],
  applications: [member("web", "shop", "alpha")],
};

const HOSTS = ["h1", "h2", "h3", "h4"];
const TWO_RANGES = ["10.10.3.0/24", "fd73:7461:7369:3::/64"];
const PLACES = [
  environment("shop", HOSTS, { outside: true }),
  environment("bank", ["h1", "h3"], { ranges: TWO_RANGES, encrypted: true }),
  environment("lab", ["h2"]),
  environment(`long-${"x".repeat(58)}`, ["h4", "h2"], { outside: true }),
  environment("empty", ["h1"], { outside: true }),
];
const CITY: Picture = {
  environments: PLACES,
  hosts: HOSTS.map((name, index) => host(name, { address: `192.0.2.${index + 1}`, reachable: index !== 3 })),
  applications: Array.from({ length: 40 }, (_, index) => {
    const { name = "", hosts = [] } = PLACES[index % 4] ?? {};
    const ports = Array.from({ length: index % 8 }, (_, port) => ({
      protocol: port % 2 === 0 ? "tcp" as const : "udp" as const,
      port: 80 + port,
      host: 20_000 + port,
    }));
    return member(`web-${"y".repeat(index)}`, name, hosts[index % hosts.length] ?? "", {
      addresses: TWO_RANGES.slice(0, 1 + index % 2),
      running: index % 5 !== 4,
      published: ports,
    });
  }),
};

function overlap(one: Box, other: Box): boolean {
  return one.x < other.x + other.width && other.x < one.x + one.width &&
    one.y < other.y + other.height && other.y < one.y + one.height;
}

function within(inner: Box, outer: Box): boolean {
  return inner.x >= outer.x && inner.y >= outer.y && inner.x + inner.width <= outer.x + outer.width &&
    inner.y + inner.height <= outer.y + outer.height;
}

function requireApart(boxes: readonly Box[]): void {
  for (const [index, one] of boxes.entries()) {
    for (const other of boxes.slice(index + 1)) {
      ok(!overlap(one, other), JSON.stringify([one, other]));
    }
  }
}

for (const [name, picture] of Object.entries({ "one application": ALONE, "forty applications": CITY })) {
  Deno.test(`no boxes overlap, and none is outside of the picture: ${name}`, () => {
    const layout = layOut(picture);
    const paper = { x: 0, y: 0, width: layout.width, height: layout.height };
    const members = layout.cells.flatMap((cell) => cell.members);
    strictEqual(members.length, picture.applications.length);
    for (const boxes of [[...layout.hosts, ...layout.clouds], layout.cells, members]) requireApart(boxes);
    for (const box of [...layout.hosts, ...layout.clouds]) ok(within(box, paper), JSON.stringify(box));
    for (const cell of layout.cells) {
      ok(within(cell, layout.hosts.find((one) => one.host === cell.host) ?? paper));
      for (const one of cell.members) ok(within(one, cell), JSON.stringify(one));
      for (const { left, right, y } of cell.wires) {
        ok(within({ x: left, y, width: right - left, height: 0 }, cell));
        ok(!cell.members.some((one) => y > one.y && y < one.y + one.height), "a wire through a box");
      }
    }
  });

  Deno.test(`a picture is well-formed, and says what it shows: ${name}`, () => {
    const elements = elementsOf(drawPicture(picture));
    strictEqual(elements[0]?.name, "svg");
    strictEqual(elements[1]?.name, "title");
    const titles = elements.filter((one) => one.name === "title").map((one) => one.text);
    for (const { name } of [...picture.environments, ...picture.hosts, ...picture.applications]) {
      ok(titles.some((title) => title.includes(name)), name);
    }
  });
}

Deno.test("every line of text fits into its box", () => {
  const { cells } = layOut(CITY);
  for (const one of cells.flatMap(({ members }) => members)) {
    for (const { text, size } of one.lines) ok(text.length * size * 0.5 < one.width, text);
  }
});

Deno.test("names are shown as they are, whatever is in them", () => {
  const name = `<b a="1">&amp;'\u0000\ud800\ufffe]]>`;
  const picture = structuredClone(ALONE);
  picture.hosts = [host(name)];
  picture.environments = [environment("shop", [name])];
  picture.applications = [member("web", "shop", name)];
  const texts = elementsOf(drawPicture(picture)).map((one) => one.text);
  ok(texts.some((text) => text.startsWith(`Host <b a="1">&amp;'\\x00`)), texts.join("\n"));
});

Deno.test("a tunnel leads straight from host to host, also past one that it does not concern", () => {
  const picture: Picture = {
    environments: [
      environment("one", ["a", "b", "c"]),
      environment("two", ["a", "c"]),
      environment("three", ["b", "c"]),
      environment("four", ["a", "b"]),
    ],
    hosts: ["a", "b", "c"].map((name) => host(name)),
    applications: [],
  };
  const { tunnels, cells } = layOut(picture);
  strictEqual(tunnels.length, 5);
  for (const { environment, y, from, to, left, right } of tunnels) {
    ok(left < right);
    const ends = cells.filter((cell) =>
      cell.environment === environment && [from, to].includes(cell.host.name)
    );
    deepStrictEqual(ends.map(({ bus }) => bus), [y, y]);
  }
});

Deno.test("what ended is pale, who cannot be reached is dashed, the outside is there when it is allowed", () => {
  const [alone, city] = [drawPicture(ALONE), drawPicture(CITY)];
  for (const word of ["st-ended", "cannot be reached", "encrypted", ">outside<", "port 20000 → 80"]) {
    ok(city.includes(word), word);
  }
  for (const word of [`"st-ended"`, "stroke-dasharray", `"st-cloud"`]) ok(!alone.includes(word), word);
  match(drawPicture({ environments: [], hosts: [], applications: [] }), />There are no environments</);
});

Deno.test("hosts of an environment stand together", () => {
  const apart = [{ hosts: ["a", "d"] }, { hosts: ["b", "c"] }];
  const order = orderHosts(["a", "b", "c", "d"], apart);
  strictEqual(Math.abs(order.indexOf("a") - order.indexOf("d")), 1, order.join());
  strictEqual(Math.abs(order.indexOf("b") - order.indexOf("c")), 1, order.join());
  strictEqual(rowsOf(apart, order).length, 1, "and environments that lie apart share a row");
  strictEqual(rowsOf(apart, ["a", "b", "c", "d"]).length, 2);
});
