/** Templates in memory: clones that share it, what each may do to it, and what happens to the helper that holds it. */

import { match, ok, strictEqual } from "node:assert/strict";
import { must, Stage, until } from "./stage/stage.ts";

const BALLAST = 96 << 20;

/**
 * A parent, a child that it forked and a thread, which have memory in common and of their own. Asked for it, they change
 * some, give some back to the kernel, and say what they find.
 */
const FAMILY = `
import ctypes, mmap, os, sys, threading, time
size = int(sys.argv[1])
def fill(memory, seed):
    for start in range(0, len(memory), 4096):
        memory[start:start + 8] = (start ^ seed).to_bytes(8, "little")
def sound(memory, seed):
    return all(int.from_bytes(memory[start:start + 8], "little") == start ^ seed for start in range(0, len(memory), 4096))
ballast = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
fill(ballast, 1)
child = os.fork()
who = "parent" if child else "child"
own = mmap.mmap(-1, size // 8, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
fill(own, 2 if child else 3)
def told(name):
    return os.path.exists("/dev/shm/" + name)
def work():
    while not told("go"):
        time.sleep(0.01)
    found = [sound(ballast, 1), sound(own, 2 if child else 3)]
    ballast[0:8] = os.getpid().to_bytes(8, "little")
    own.madvise(mmap.MADV_DONTNEED, 0, 1 << 20)
    found.append(own[:1 << 20] == bytes(1 << 20))
    found.append(ballast[4096:4104] == (4096 ^ 1).to_bytes(8, "little"))
    with open("/dev/shm/" + who + ".new", "w") as out:
        out.write(" ".join(map(str, found)))
    os.rename("/dev/shm/" + who + ".new", "/dev/shm/" + who)
thread = threading.Thread(target=work)
thread.start()
print("ready", flush=True)
thread.join()
while True:
    time.sleep(1000)
`;

interface Loaded {
  name: string;
  loaded?: { pid: number; bytes: number };
}

async function prepare(stage: Stage, ...load: string[]): Promise<void> {
  const program = await stage.write("family.py", FAMILY);
  await stage.run("family", "python3", program, String(BALLAST));
  const ready = async () => ((await stage.logs("family")).match(/ready/g)?.length ?? 0) === 2 || undefined;
  await until("the program and its child run", ready);
  await stage.stasis("snapshot", "family", "--stop");
  await stage.stasis("template", "create", "family@latest", "--name", "family");
  await stage.stasis("template", "load", "family", ...load);
}

/** What parent and child of a clone found, once told to look. */
async function ask(stage: Stage, name: string): Promise<string[]> {
  const script =
    `touch /dev/shm/go; cd /dev/shm; until [ -e parent ] && [ -e child ]; do sleep 0.02; done; cat parent; echo; cat child`;
  return (await stage.stasis("exec", name, "--", "timeout", "60", "sh", "-c", script)).trim().split("\n");
}

async function loaded(stage: Stage): Promise<Loaded["loaded"]> {
  const templates: Loaded[] = JSON.parse(await stage.stasis("template", "ls", "--json"));
  return templates.find(({ name }) => name === "family")?.loaded;
}

async function gone(pid: number): Promise<void> {
  await until(`process ${pid} end`, async () => {
    const there = await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
    return !there || undefined;
  });
}

const SOUND = "True True True True";

async function cloneAndAsk(stage: Stage): Promise<void> {
  await stage.stasis("clone", "family", "--count", "6", "--name", "c");
  const before = await ownKibibytes(stage, "c-1");
  ok(before < BALLAST / 1024 / 10, `a clone that did nothing has ${before} KiB of its own`);
  for (let number = 1; number <= 6; number++) {
    for (const found of await ask(stage, `c-${number}`)) strictEqual(found, SOUND, `c-${number}`);
  }
}

/** What the root process of an application has for itself. */
async function ownKibibytes(stage: Stage, name: string): Promise<number> {
  const { pid } = await stage.application(name);
  const text = await Deno.readTextFile(`/proc/${pid}/smaps_rollup`);
  return [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+)/gm)].reduce(
    (sum, [, kib]) => sum + Number(kib),
    0,
  );
}

Deno.test("clones share a template's memory until they write to it, families and threads included", async () => {
  await using stage = await Stage.open();
  await prepare(stage);
  const resident = await loaded(stage);
  ok(resident !== undefined && resident.bytes >= BALLAST);
  match(await stage.stasis("ps"), new RegExp(`family +template +${resident.pid} `));
  match(await must(["ps", "-o", "args=", "-p", String(resident.pid)]), /^stasis-template family$/);
  await cloneAndAsk(stage);

  await stage.stasis("snapshot", "c-1", "--stop");
  await stage.stasis("restore", "c-1@latest", "-d");
  await stage.stasis("template", "unload", "family");
  await gone(resident.pid);
  strictEqual(await loaded(stage), undefined);
  for (const found of await ask(stage, "c-1")) {
    strictEqual(found, SOUND, "what a clone had is in its snapshot");
  }
  strictEqual((await stage.application("c-2")).state, "running", "clones outlive the helper");
});

Deno.test("an ordinary user's clones share memory as well", async () => {
  await using stage = await Stage.openForOrdinaryUser();
  await prepare(stage);
  await stage.stasis("clone", "family", "--name", "c");
  for (const found of await ask(stage, "c")) strictEqual(found, SOUND);
});

Deno.test("when the helper is killed, clones run on, later ones come from the image, and it can be loaded again", async () => {
  await using stage = await Stage.open();
  await prepare(stage);
  await stage.stasis("clone", "family", "--name", "before");
  const resident = await loaded(stage);
  ok(resident !== undefined);
  Deno.kill(resident.pid, "SIGKILL");
  await gone(resident.pid);
  strictEqual(await loaded(stage), undefined);
  await stage.stasis("clone", "family", "--name", "after");
  for (const name of ["before", "after"]) {
    for (const found of await ask(stage, name)) strictEqual(found, SOUND, name);
  }
  await stage.stasis("template", "load", "family");
  const again = await loaded(stage);
  ok(again !== undefined && again.pid !== resident.pid);
  await stage.stasis("template", "rm", "family");
  await gone(again.pid);
  const left = [...Deno.readDirSync(`${stage.folder}/home/run/templates`)].map(({ name }) => name);
  strictEqual(left.join(), ".lock");
});

Deno.test("loading keeps to its limit, and says what is wrong", async () => {
  await using stage = await Stage.open();
  await prepare(stage, "--limit", "1G");
  const twice = await stage.attempt("template", "load", "family");
  strictEqual(twice.code, 2);
  match(twice.stderr, /in memory already/);
  await stage.stasis("template", "unload", "family");
  const small = await stage.attempt("template", "load", "family", "--limit", "1M");
  strictEqual(small.code, 1);
  match(small.stderr, /1048576 are allowed/);
  strictEqual(await loaded(stage), undefined);
  const absent = await stage.attempt("template", "unload", "family");
  strictEqual(absent.code, 10);
});
