import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import type { Application } from "../../ffi/messages.ts";
import { stasis, WEB } from "./workbench.ts";

const TAKEN = {
  dir: "/out",
  processes: 1,
  threads: 4,
  bytes: 1048576,
  pause_us: 26400,
  total_us: 310000,
  notes: ["the log file grew"],
};

Deno.test("snapshot puts an application into the store, labelled, and prints the id", async () => {
  const { engine, stdout, stderr } = await stasis(["snapshot", "web", "--tag", "a", "--tag", "b"], {
    snapshot: TAKEN,
  });
  const request = engine.request("snapshot") as { out: string; label: Record<string, unknown> };
  const id = stdout.trim();
  match(id, /^[0-9a-f]{12}$/);
  ok(request.out.endsWith(`/snapshots/${id}`));
  deepStrictEqual({ ...request, out: "", label: { ...request.label, created: "" } }, {
    target: [{ aid: WEB.aid }],
    out: "",
    stop: false,
    label: { id, name: "web", aid: WEB.aid, tags: ["a", "b"], created: "" },
  });
  match(
    stderr,
    /^Took "web": 1 process, 4 threads, 1\.0 MiB, paused for 26 ms, 310 ms in all\n {2}note: the log file grew\n$/,
  );
});

Deno.test("snapshot --pid --out makes the folder and prints it", async () => {
  const { engine, stdout } = await stasis(["snapshot", "--pid", "42", "--out", "../s", "--stop"], {
    snapshot: TAKEN,
  });
  const request = engine.request("snapshot") as {
    target: unknown;
    out: string;
    stop: boolean;
    label: object;
  };
  deepStrictEqual(request.target, [{ pid: 42 }]);
  strictEqual(request.out, "/s");
  strictEqual(request.stop, true);
  ok(!("aid" in request.label) && !("name" in request.label));
  strictEqual(stdout, "/out\n");
});

Deno.test("what becomes of TCP connections is said only when it is asked for", async () => {
  const { engine } = await stasis(["snapshot", "--pid", "42", "--tcp", "close"], { snapshot: TAKEN });
  strictEqual((engine.request("snapshot") as { tcp?: string }).tcp, "close");
  strictEqual((await stasis(["snapshot", "--pid", "42", "--tcp", "drop"])).exit, 2);
  const args = ["restore", "/usr", "-d", "--tcp", "keep"];
  const again = await stasis(args, { inspect: INSPECTED, restore: RESTORED });
  strictEqual((again.engine.request("restore") as { tcp?: string }).tcp, "keep");
});

Deno.test("snapshot --out takes a folder that is empty", async () => {
  const empty = Deno.makeTempDirSync();
  const { exit } = await stasis(["snapshot", "--pid", "42", "--out", empty], { snapshot: TAKEN });
  Deno.removeSync(empty);
  strictEqual(exit, 0);
});

Deno.test("snapshot wants an application or a process, and a folder with nothing in it", async () => {
  strictEqual((await stasis(["snapshot"])).exit, 2);
  strictEqual((await stasis(["snapshot", "web", "--pid", "1"])).exit, 2);
  strictEqual((await stasis(["snapshot", "--pid", "x"])).exit, 2);
  strictEqual((await stasis(["snapshot", "web", "--out", "/usr"])).exit, 2);
  strictEqual((await stasis(["snapshot", "web", "--out", "/nowhere/x"])).exit, 2);
});

Deno.test("a snapshot of what has ended says so", async () => {
  const ended: Application = { ...WEB, state: "exited", code: 0 };
  const { fault } = await stasis(["snapshot", "web"], { ps: { apps: [ended] } });
  strictEqual(fault?.exit, 10);
  strictEqual(fault?.causes?.join(), "it has ended: exit code 0");
});

const INSPECTED = { label: { name: "web", aid: "aa0000000000" } };
const RESTORED = { aid: "cc0000000000", name: "web-2", pid: 8, total_us: 900 };

Deno.test("restore gives an application a free name and resolves the files' new places", async () => {
  const args = ["restore", "/usr", "-d", "--file", "/var/log/x=y.log"];
  const { engine, stdout } = await stasis(args, { inspect: INSPECTED, restore: RESTORED });
  deepStrictEqual(engine.request("restore"), {
    dir: "/usr",
    detach: true,
    terminal: false,
    files: { "/var/log/x": "/here/y.log" },
    name: "web-2",
  });
  strictEqual(stdout, "cc0000000000\n");
});

Deno.test("a process tree comes back without a name, and its exit code is passed on", async () => {
  const answers = {
    inspect: { label: { tags: [] } },
    restore: { pid: 8, total_us: 900 },
    attach: { code: 5 },
  };
  const { engine, exit } = await stasis(["restore", "/usr"], answers);
  ok(!("name" in (engine.request("restore") as object)));
  deepStrictEqual(engine.request("attach"), { pid: 8 });
  strictEqual(exit, 5);
});

Deno.test("restore of what is not there ends with 10", async () => {
  for (const given of ["/nowhere", "./nowhere", "0123", "web@latest"]) {
    strictEqual((await stasis(["restore", given], { list: { snapshots: [] } })).exit, 10, given);
  }
});

Deno.test("verify reports every snapshot and ends with the first damage", async () => {
  const damaged = StasisError.of("image_damaged", "Could not read the image", {
    causes: ["checksum of section 2"],
  });
  const bad = await stasis(["verify", "/usr", "/etc"], { verify: damaged });
  strictEqual(bad.exit, 20);
  strictEqual(
    bad.stdout.split("\n")[1],
    "/etc: image_damaged: Could not read the image: checksum of section 2",
  );
  const good = await stasis(["verify", "/usr", "--json"], { verify: { ok: true, bytes: 5 } });
  deepStrictEqual(JSON.parse(good.stdout), { snapshot: "/usr", ok: true, bytes: 5 });
});
