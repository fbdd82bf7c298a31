import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { writeSpan } from "../vne/span.ts";
import { type Answers, stasis } from "./workbench.ts";

const SECRET = "ab".repeat(32);
const UNTIL = Date.parse("2027-01-02T12:00:00Z");

/** An environment on two hosts, and an engine that has keys for a while. */
async function withShop(
  play: (home: string, answers: Answers, made: unknown[]) => Promise<void>,
): Promise<void> {
  const base = Deno.makeTempDirSync();
  const made: unknown[] = [];
  const tunnel = { name: "stx-1", up: true, address: "192.0.2.1", peers: ["192.0.2.2"], mtu: 1410 };
  const traffic = { received_bytes: 0, received_packets: 0, sent_bytes: 0, sent_packets: 0 };
  const encryption = { keys_until: UNTIL / 1000, received_packets: 0, sent_packets: 0 };
  const answers: Answers = {
    ps: { apps: [] },
    make_environment: (request: unknown) => void made.push(request),
    inspect_environment: {
      present: true,
      bridge: "st-1",
      links: [],
      tunnel: { ...tunnel, ...traffic, encryption },
      stopped: { clear: 2 },
    },
  };
  try {
    const ranges = ["--subnet", "10.10.2.0/24"];
    strictEqual((await stasis(["vne", "create", "shop", ...ranges], answers, { cwd: base }, base)).exit, 0);
    await play(base, answers, made);
  } finally {
    Deno.removeSync(base, { recursive: true });
  }
}

function span(base: string, secret?: string): void {
  const host = (name: string, address: string) => ({
    id: `id-${name}`,
    name,
    address,
    revision: 1,
    numbers: [],
  });
  const hosts = [host("web1", "192.0.2.1"), host("web2", "192.0.2.2")];
  const rest = { gone: [], given: {}, taken: {}, ...(secret !== undefined && { secret }) };
  writeSpan({ data: base, run: base }, "shop", { self: "id-web1", hosts, ...rest });
}

Deno.test("vne rotate has the keys made that are due, and says how long they last", async () => {
  await withShop(async (base, answers, made) => {
    span(base, SECRET);
    const rotated = await stasis(["vne", "rotate", "shop"], answers, { cwd: base }, base);
    strictEqual(rotated.stdout, "2027-01-02T12:00:00.000Z\n");
    match(rotated.stderr, /keys until 2027-01-02/);
    const { tunnel } = made.at(-1) as { tunnel: unknown };
    deepStrictEqual(tunnel, { address: "192.0.2.1", peers: ["192.0.2.2"], secret: SECRET });
    const json = await stasis(["vne", "rotate", "shop", "--json"], answers, { cwd: base }, base);
    deepStrictEqual(JSON.parse(json.stdout), { name: "shop", keys_until: "2027-01-02T12:00:00.000Z" });
  });
});

Deno.test("vne rotate refuses an environment that is not encrypted", async () => {
  await withShop(async (base, answers, made) => {
    const before = made.length;
    for (const wanted of [/this host only/, /not encrypted/]) {
      const { exit, fault } = await stasis(["vne", "rotate", "shop"], answers, { cwd: base }, base);
      strictEqual(exit, 2);
      match(fault?.causes?.join() ?? "", wanted);
      span(base);
    }
    strictEqual(made.length, before);
  });
});
