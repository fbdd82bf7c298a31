/** Clones that cannot be made, and commands and helpers that are killed meanwhile: what is told, and that nothing is left. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { NetworkHost } from "../e2e/stage/network_host.ts";
import { capture, freePort, must, type Outcome, Stage, until } from "../e2e/stage/stage.ts";

/** Listens on a port, has a file open, and enough memory for a helper to hold. */
const SERVER = `
import os, socket, sys, time
ballast = os.urandom(1 << 20)
server = socket.create_server(("127.0.0.1", int(sys.argv[2])))
out = open(os.path.join(sys.argv[1], "state"), "a")
print("ready", flush=True)
time.sleep(1000)
`;

/** Clones from number 20 on say that they are there, and stand before their first instruction as long as a file is there. */
const holding = (folder: string) =>
  `[hooks]
inside_before = [["sh", "-c", "test {n} -lt 20 && exit; : > ${folder}/mark; while test -e ${folder}/hold; do sleep 0.01; done"]]
`;

interface Listed {
  aid: string;
  name: string;
  state: string;
  pid?: number;
}

/** A template "t" of the server, whose processes are known by a folder that no other test has. */
class Workshop {
  private constructor(readonly stage: Stage, readonly port: number) {}

  static async open(stage: Stage, rules = (_folder: string, _port: number) => ""): Promise<Workshop> {
    const workshop = new Workshop(stage, freePort());
    const { folder } = stage;
    const program = await stage.write("server.py", SERVER);
    await Deno.mkdir(`${folder}/data`);
    const words = ["--network", "none", "--", "python3", program, `${folder}/data`, String(workshop.port)];
    if (rules(folder, 0).includes("[ports]")) words.splice(0, 2);
    await stage.stasis("run", "-d", "--name", "server", ...words);
    await until("it run", async () => (await stage.logs("server")).includes("ready") || undefined);
    await stage.stasis("snapshot", "server", "--stop", "-q");
    const file = await stage.write("rules.toml", rules(folder, workshop.port));
    await stage.stasis("template", "create", "server@latest", "--name", "t", "--rules", file);
    await stage.stasis("rm", "server");
    return workshop;
  }

  /** What is there now: applications, their folders and sockets, and processes on the host. */
  async found() {
    const { env, folder } = this.stage;
    const listed: Listed[] = JSON.parse(await this.stage.stasis("ps", "--json"));
    const processes = (await capture(["pgrep", "-f", `${folder}/server.py`])).stdout.split("\n");
    const mounts = await Deno.readTextFile("/proc/self/mountinfo");
    return {
      running: listed.filter(({ state }) => state === "running"),
      listed: listed.length,
      folders: names(`${env.STASIS_HOME}/data/apps`).filter((name) => name !== ".lock"),
      sockets: names(`${env.STASIS_HOME}/run`).filter((name) => name.endsWith(".sock")),
      layers: names(`${env.STASIS_HOME}/data/layers`),
      processes: processes.filter((pid) => pid !== "").length,
      mounts: mounts.split("\n").filter((line) => line.includes(`${folder}/home/`)),
    };
  }

  /** Nothing is there but these applications, each whole. */
  async expectOnly(count: number): Promise<void> {
    const found = await until("nothing but what is listed", async () => {
      const now = await this.found();
      return now.processes === count && now.sockets.length === count ? now : undefined;
    });
    strictEqual(found.running.length, count);
    strictEqual(found.listed, count);
    deepStrictEqual(found.folders, found.running.map(({ aid }) => aid).sort());
    deepStrictEqual(found.layers, []);
    deepStrictEqual(found.mounts, []);
  }

  /** Ends and forgets all applications. */
  async clear(): Promise<void> {
    const { running } = await this.found();
    for (const { pid } of running) if (pid !== undefined) Deno.kill(pid, "SIGKILL");
    await until("all end", async () => (await this.found()).running.length === 0 || undefined);
    const aids = (await this.stage.stasis("ps", "-q")).split("\n").filter((aid) => aid !== "");
    if (aids.length > 0) await this.stage.stasis("rm", ...aids);
    await this.expectOnly(0);
  }

  /** Starts to make a hundred clones, and comes back when at least one of them is held (see `holding`). */
  async begin(): Promise<Deno.ChildProcess> {
    await this.stage.write("hold", "");
    const command = this.stage.spawn("clone", "t", "--count", "100", "-q");
    await until("a clone be held", () => Deno.stat(`${this.stage.folder}/mark`).then(() => true));
    return command;
  }

  async release(): Promise<void> {
    for (const name of ["mark", "hold"]) await Deno.remove(`${this.stage.folder}/${name}`);
  }

  async resident(): Promise<number | undefined> {
    const [{ loaded }] = JSON.parse(await this.stage.stasis("template", "ls", "--json"));
    return loaded?.pid;
  }
}

/** What is in a folder, which is made when it is needed. */
function names(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

interface Told {
  code: string;
  message: string;
  causes: string[];
  aftermath: string;
  hint?: string;
}

function errorOf(outcome: Outcome): Told {
  return JSON.parse(outcome.stderr.trim().split("\n").at(-1) ?? "").error;
}

Deno.test("a resident helper that is killed while a hundred clones are made leaves all of them, or none and an error", async () => {
  await using stage = await Stage.open();
  const workshop = await Workshop.open(stage, holding);
  await stage.stasis("template", "load", "t");
  const command = await workshop.begin();
  const pid = await workshop.resident();
  ok(pid !== undefined);
  Deno.kill(pid, "SIGKILL");
  await workshop.release();
  const { code } = await command.status;
  ok(code === 0 || code === 30, `it ended with exit code ${code}`);
  await workshop.expectOnly(code === 0 ? 100 : 0);
  await workshop.clear();
  strictEqual(await workshop.resident(), undefined);
  await stage.stasis("clone", "t", "--count", "3");
  await workshop.expectOnly(3);
});

Deno.test("a clone command that is killed leaves whole clones, which are listed, and no process of others", async () => {
  for (const load of [false, true]) {
    await using stage = await Stage.open();
    const workshop = await Workshop.open(stage, holding);
    if (load) await stage.stasis("template", "load", "t");
    const command = await workshop.begin();
    command.kill("SIGKILL");
    strictEqual((await command.status).signal, "SIGKILL");
    await workshop.release();
    const whole = await until("all others vanish", async () => {
      const { running, processes } = await workshop.found();
      return processes === running.length ? processes : undefined;
    });
    ok(whole < 100, `${whole} of them live`);
  }
});

const FAILING: Record<
  string,
  { rules: (folder: string, port: number) => string; exit: number; why: RegExp }
> = {
  "a hook before": {
    rules: () => `[hooks]\nbefore = [["sh", "-c", "test {n} != 57 || exit 7"]]\n`,
    exit: 1,
    why: /Could not run the hook .*exit code 7/,
  },
  "a hook in the capsule before": {
    rules: () => `[hooks]\ninside_before = [["sh", "-c", "test {n} != 57 || exit 7"]]\n`,
    exit: 30,
    why: /Could not run the hook .*exit code 7/,
  },
  "a hook in the capsule after": {
    rules: () => `[hooks]\ninside_after = [["sh", "-c", "test {n} != 57 || exit 7"]]\n`,
    exit: 1,
    why: /Could not run the hook .*exit code 7/,
  },
  "a hook after": {
    rules: () => `[hooks]\nafter = [["sh", "-c", "test {n} != 57 || exit 7"]]\n`,
    exit: 1,
    why: /Could not run the hook .*exit code 7/,
  },
  "a path": {
    rules: (folder) =>
      `[paths]\n"${folder}/data" = "${folder}/data-{n}"\n[hooks]\n` +
      `before = [["sh", "-c", "test {n} = 57 || cp -r ${folder}/data ${folder}/data-{n}"]]\n`,
    exit: 30,
    why: /data-57.*No such file/,
  },
  "a port": {
    rules: (_folder, port) => `[ports]\n${port} = "{n + 21000}"\n`,
    exit: 30,
    why: /Address already in use.* port 21057 /,
  },
};

for (const [what, { rules, exit, why }] of Object.entries(FAILING)) {
  Deno.test(`when ${what} fails on clone 57, none of a hundred is left`, async () => {
    await using stage = await Stage.open();
    const workshop = await Workshop.open(stage, rules);
    using _squatter = what === "a port" ? Deno.listen({ hostname: "127.0.0.1", port: 21057 }) : undefined;
    const outcome = await stage.attempt("clone", "t", "--count", "100", "--json");
    strictEqual(outcome.code, exit, outcome.stderr);
    const { message, causes, aftermath, hint = "" } = errorOf(outcome);
    match(message, /the clone "t-57", number 57, of 100/);
    match([...causes, hint].join(": "), why);
    match(aftermath, /Nothing was left behind/);
    await workshop.expectOnly(0);
  });
}

Deno.test({
  name: "when the disk is full after some of a hundred clones, none is left",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using stage = await Stage.open();
    const home = stage.env.STASIS_HOME ?? "";
    await Deno.mkdir(home);
    await must(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0755", "tmpfs", home]);
    try {
      const workshop = await Workshop.open(stage);
      const [, free] = (await must(["df", "--output=avail", "-k", home])).split("\n").map(Number);
      // A clone's folder takes some 12 KiB.
      await must(["fallocate", "-l", `${(free ?? 0) - 300}K`, `${home}/fill`]);
      const outcome = await stage.attempt("clone", "t", "--count", "100", "--json");
      strictEqual(outcome.code, 30, outcome.stderr);
      const { causes, aftermath } = errorOf(outcome);
      match(causes.join(": "), /No space left on device/);
      match(aftermath, /clones? (was|were) removed again; Nothing was left behind/);
      await Deno.remove(`${home}/fill`);
      await workshop.expectOnly(0);
    } finally {
      await until(
        "the home come free",
        async () => (await capture(["umount", home])).code === 0 || undefined,
      );
    }
  },
});

Deno.test("a name that is taken is an error before anything is made, and passed over where none is asked for", async () => {
  await using stage = await Stage.open();
  const workshop = await Workshop.open(stage);
  await stage.stasis("clone", "t", "--name", "web-57");
  const outcome = await stage.attempt("clone", "t", "--count", "100", "--name", "web", "--json");
  strictEqual(outcome.code, 2, outcome.stderr);
  const { message, causes } = errorOf(outcome);
  match([message, ...causes].join(": "), /"web-57".*an application of this name is running/);
  await workshop.expectOnly(1);
  await stage.stasis("clone", "t", "--name", "t-2");
  await stage.stasis("clone", "t", "--count", "2");
  const { running } = await workshop.found();
  deepStrictEqual(running.map(({ name }) => name).sort(), ["t-1", "t-2", "t-3", "web-57"]);
});

Deno.test({
  name: "an address that is taken, and one too many, are errors before anything is made",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using host = await NetworkHost.open();
    const { stage } = host;
    const workshop = await Workshop.open(stage);
    await stage.stasis("vne", "create", "shop", "--subnet", "10.10.2.0/29");
    await stage.stasis("clone", "t", "--name", "first", "--vne", "shop=10.10.2.3");
    const before = await host.links();
    for (const [count, address] of [["1", "=10.10.2.3"], ["7", ""], ["2", "=10.10.2.77"]]) {
      const words = ["--count", count ?? "", "--vne", `shop${address}`];
      const outcome = await stage.attempt("clone", "t", ...words, "--json");
      ok(outcome.code !== 0, `${words.join(" ")}: ${outcome.stdout}`);
      const { message, causes } = errorOf(outcome);
      match([message, ...causes].join(": "), /10\.10\.2\./, `${words.join(" ")}: ${outcome.stderr}`);
      await workshop.expectOnly(1);
      deepStrictEqual(await host.links(), before);
    }
    await stage.stasis("clone", "t", "--count", "5", "--vne", "shop");
    await workshop.clear();
    await until("their links vanish", async () => (await host.links()).length === 1 || undefined);
  },
});

Deno.test("a clone with a view of a volume goes back to what it saw, and is captured and removed like any other", async () => {
  await using stage = await Stage.open();
  const folder = `${stage.folder}/volume`;
  await Deno.mkdir(folder);
  await stage.write("volume/kept", "captured");
  const sleeper = [
    "--volume",
    folder,
    "--",
    "sh",
    "-c",
    `exec 3>>${folder}/open; echo ready; exec sleep 1000`,
  ];
  await stage.stasis("run", "-d", "--name", "source", ...sleeper);
  await until("it run", async () => (await stage.logs("source")).includes("ready") || undefined);
  await stage.stasis("snapshot", "source", "--stop", "-q");
  await stage.stasis("template", "create", "source@latest", "--name", "t");
  await stage.stasis("rm", "source");
  await stage.stasis("clone", "t", "--name", "one");
  const look = () =>
    stage.stasis(
      "exec",
      "one",
      "--",
      "sh",
      "-c",
      `cd ${folder}; ls; cat kept; cat /proc/1/mounts | grep -c volume`,
    );
  await stage.stasis("exec", "one", "--", "sh", "-c", `cd ${folder}; echo mine > kept; echo new > made`);
  const seen = await look();
  const id = await stage.stasis("snapshot", "one", "-q");
  for (let round = 0; round < 3; round++) {
    await stage.stasis("exec", "one", "--", "sh", "-c", `cd ${folder}; rm kept made; mkdir later`);
    await stage.stasis("rollback", "one", id);
    strictEqual(await look(), seen, `round ${round}`);
  }
  strictEqual(await Deno.readTextFile(`${folder}/kept`), "captured");
  const later = await stage.stasis("snapshot", "one", "-q");
  await stage.stasis("verify", later);
  await stage.stasis("rm", id);
  await stage.stasis("rollback", "one", later);
  strictEqual(await look(), seen);
  await stage.stasis("kill", "one");
  await stage.attempt("wait", "one");
  await stage.stasis("rm", "one");
  deepStrictEqual(names(`${stage.env.STASIS_HOME}/data/layers`), []);
  deepStrictEqual(names(`${stage.env.STASIS_HOME}/data/apps`), [".lock"]);
});
