import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { CommanderError } from "@commander-js/extra-typings";
import type { Engine, Job } from "../../ffi/client.ts";
import { StasisError } from "../../ffi/error.ts";
import type { Fault } from "../../ffi/error.ts";
import type { Application, Operation } from "../../ffi/messages.ts";
import { Interrupts } from "../interrupts.ts";
import { buildProgram } from "../program.ts";
import { type Caller, Session } from "../session.ts";
import { faultOf } from "../ui/errors.ts";
import { Output } from "../ui/output.ts";
import { usageFault } from "../usage.ts";

type Answers = Partial<Record<Operation, unknown>>;
type Asked = { op: Operation; request: unknown };

const WEB: Application = {
  aid: "aa0000000000",
  name: "web",
  state: "running",
  started: "2026-01-01T00:00:00Z",
  command: ["nginx", "-g", "daemon off;"],
};

/** An engine that answers from a table, and remembers what it was asked. */
class FakeEngine implements Engine {
  readonly asked: Asked[] = [];

  constructor(readonly answers: Answers) {}

  start<T>(op: Operation, request: unknown): Job<T> {
    this.asked.push({ op, request });
    const answer = this.answers[op];
    const done = answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer as T);
    return { done, progress: () => ({ phase: 0, done: 0, total: 0, unit: "none" }), cancel: () => {} };
  }

  version(): string {
    return "1.2.3";
  }

  /** The request of the only operation of this kind. */
  request(op: Operation): unknown {
    const [only, ...more] = this.asked.filter((asked) => asked.op === op);
    strictEqual(more.length, 0);
    return only?.request;
  }
}

interface Outcome {
  engine: FakeEngine;
  exit: number;
  stdout: string;
  stderr: string;
  fault?: Fault;
}

/** Runs one command line against the table of answers, in a home of its own. */
async function stasis(args: string[], answers: Answers = {}, caller: Partial<Caller> = {}): Promise<Outcome> {
  const engine = new FakeEngine({ ps: { apps: [WEB] }, ...answers });
  const data = Deno.makeTempDirSync();
  const texts = { stdout: "", stderr: "" };
  const decoder = new TextDecoder();
  const stream = (name: "stdout" | "stderr") => ({
    terminal: false,
    columns: () => undefined,
    write: (bytes: string | Uint8Array) =>
      void (texts[name] += typeof bytes === "string" ? bytes : decoder.decode(bytes)),
  });
  let session: Session | undefined;
  const program = buildProgram((options) => {
    const output = new Output(stream("stdout"), stream("stderr"), options, true);
    const whole = { cwd: "/here", env: { PATH: "/bin" }, terminal: false, ...caller };
    return session = new Session(engine, { data, run: `${data}/run` }, output, new Interrupts(), whole);
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return { engine, exit: session?.exitCode ?? 0, ...texts };
  } catch (thrown) {
    const fault = thrown instanceof CommanderError ? usageFault(thrown, args[0]) : faultOf(thrown);
    return { engine, exit: fault.exit, ...texts, fault };
  } finally {
    Deno.removeSync(data, { recursive: true });
  }
}

const STARTED = { aid: "bb0000000000", name: "sleep", pid: 7 };

Deno.test("run -d passes the whole request on and prints the AID", async () => {
  const args = ["run", "-d", "--hostname", "h", "-e", "A=1", "-e", "B=x=y", "--", "/bin/sleep", "-d", "9"];
  const { engine, stdout, stderr } = await stasis(args, { run: STARTED });
  deepStrictEqual(engine.request("run"), {
    name: "sleep",
    argv: ["/bin/sleep", "-d", "9"],
    env: { PATH: "/bin", A: "1", B: "x=y" },
    cwd: "/here",
    detach: true,
    terminal: false,
    hostname: "h",
  });
  strictEqual(stdout, "bb0000000000\n");
  match(stderr, /Running "sleep" with pid 7/);
});

Deno.test("run takes the command's options for the command's own, with and without --", async () => {
  for (const args of [["run", "-d", "web", "--name", "x"], ["run", "-d", "--", "web", "--name", "x"]]) {
    const { engine } = await stasis(args, { run: STARTED });
    const { argv, name } = engine.request("run") as { argv: string[]; name: string };
    deepStrictEqual(argv, ["web", "--name", "x"]);
    strictEqual(name, "web-2");
  }
});

Deno.test("an attached run ends with the application's exit code, or 128 and its signal", async () => {
  strictEqual((await stasis(["run", "--", "a"], { run: STARTED, attach: { code: 3 } })).exit, 3);
  const { exit, engine } = await stasis(["run", "a"], { run: STARTED, attach: { signal: 15 } }, {
    terminal: true,
  });
  strictEqual(exit, 143);
  strictEqual((engine.request("run") as { terminal: boolean }).terminal, true);
  deepStrictEqual(engine.request("attach"), { aid: STARTED.aid });
});

Deno.test("run refuses names and assignments that cannot be", async () => {
  strictEqual((await stasis(["run", "--name", "A B", "--", "x"])).exit, 2);
  strictEqual((await stasis(["run", "-e", "=x", "--", "x"])).exit, 2);
  strictEqual((await stasis(["run"])).exit, 2);
});

Deno.test("a chosen name that another took first is chosen again, a real failure is not repeated", async () => {
  const { engine, fault } = await stasis(["run", "--", "fresh"], {
    run: StasisError.of("other", "Could not run"),
  });
  strictEqual(engine.asked.filter(({ op }) => op === "run").length, 1);
  strictEqual(fault?.message, "Could not run");
});

Deno.test("ps prints a table, ids with --quiet, and an array with --json", async () => {
  match(
    (await stasis(["ps"])).stdout,
    /^NAME +AID.*\nweb +aa0000000000 +running .*nginx -g 'daemon off;'\n$/,
  );
  strictEqual((await stasis(["ps", "-q"])).stdout, "aa0000000000\n");
  deepStrictEqual(JSON.parse((await stasis(["ps", "--json"])).stdout), [WEB]);
  deepStrictEqual(JSON.parse((await stasis(["--json", "ps"])).stdout), [WEB]);
});

Deno.test("an application that is not there ends with 10", async () => {
  for (const verb of ["logs", "stop", "kill", "wait", "snapshot", "rm"]) {
    strictEqual((await stasis([verb, "mail"])).exit, 10, verb);
  }
});

Deno.test("kill sends SIGKILL unless told otherwise", async () => {
  deepStrictEqual((await stasis(["kill", "web"], { signal: {} })).engine.request("signal"), {
    aid: WEB.aid,
    signal: 9,
  });
  for (const name of ["HUP", "SIGHUP", "hup", "1"]) {
    const { engine } = await stasis(["kill", "web", "-s", name], { signal: {} });
    deepStrictEqual(engine.request("signal"), { aid: WEB.aid, signal: 1 });
  }
  strictEqual((await stasis(["kill", "web", "-s", "NOPE"])).exit, 2);
});

Deno.test("stop waits for the time that it is given", async () => {
  const answers = { stop: { signal: 9, killed: true } };
  const { engine, stderr } = await stasis(["stop", "web", "-t", "1.5"], answers);
  deepStrictEqual(engine.request("stop"), { aid: WEB.aid, timeout_ms: 1500 });
  match(stderr, /Ended "web": SIGKILL, after its time was up/);
  strictEqual((await stasis(["stop", "web", "-t", "soon"], answers)).exit, 2);
});

Deno.test("wait prints the exit code", async () => {
  strictEqual((await stasis(["wait", "web"], { wait: { code: 4 } })).stdout, "4\n");
  strictEqual((await stasis(["wait", "web"], { wait: { signal: 9 } })).stdout, "137\n");
});

Deno.test("exec passes the command's options through and ends with its exit code", async () => {
  const { engine, exit } = await stasis(["exec", "web", "--", "ls", "-l"], { exec: { pid: 9, code: 2 } });
  strictEqual(exit, 2);
  deepStrictEqual((engine.request("exec") as { argv: string[] }).argv, ["ls", "-l"]);
  const bare = await stasis(["exec", "web", "ls", "-l"], { exec: { pid: 9, code: 0 } });
  deepStrictEqual((bare.engine.request("exec") as { argv: string[] }).argv, ["ls", "-l"]);
});

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

Deno.test("snapshot wants an application or a process, and a folder that is not there", async () => {
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
const RESTORED = { aid: "cc0000000000", name: "web-2", pid: 8 };

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
  const answers = { inspect: { label: { tags: [] } }, restore: { pid: 8 }, attach: { code: 5 } };
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

Deno.test("doctor ends with 12 only when something is missing that everything needs", async () => {
  const check = { name: "x", found: "no", needed: "yes", ok: false, consequence: "no y", fix: "z" };
  const missing = await stasis(["doctor"], { doctor: { checks: [{ ...check, required: true }] } });
  strictEqual(missing.exit, 12);
  match(missing.stdout, /MISSING {2}x .*\n\nWithout x: no y\n {2}to mend it: z\n$/s);
  strictEqual((await stasis(["doctor"], { doctor: { checks: [{ ...check, required: false }] } })).exit, 0);
});

Deno.test("rm does not guess between an application and a snapshot, and leaves folders alone", async () => {
  strictEqual((await stasis(["rm", "./x"])).exit, 2);
  const { engine, stderr } = await stasis(["rm", "web"], { remove: {} });
  deepStrictEqual(engine.request("remove"), { aid: WEB.aid });
  match(stderr, /Removed the application "web"/);
});

Deno.test("rm goes on after what it cannot remove", async () => {
  const { engine, exit, stderr } = await stasis(["rm", "mail", "web"], { remove: {} });
  strictEqual(exit, 10);
  deepStrictEqual(engine.request("remove"), { aid: WEB.aid });
  match(stderr, /^error\[no_target\]: Could not find "mail"[^]*Removed the application "web"/);
});

Deno.test("unknown commands and options are usage errors that suggest the right one", async () => {
  const command = await stasis(["restor"]);
  strictEqual(command.exit, 2);
  match(command.fault?.hint ?? "", /Did you mean restore\?/);
  match((await stasis(["ps", "--jsn"])).fault?.hint ?? "", /Did you mean --json\?/);
});
