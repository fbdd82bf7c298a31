/** Folders that belong to an application's state: captured with its memory, and a view of its own for every clone. */

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { capture, must, Stage, until } from "./stage/stage.ts";

/**
 * Keeps what it is told in a database, and in files that it holds in every way that a file can be held: mapped, open for
 * reading only, appended to, locked, deleted, and under a name that is not the one it was opened by. Answers with what it
 * finds in each.
 */
const LEDGER = `
import fcntl, mmap, os, sqlite3, sys, time
at = lambda name: os.path.join(sys.argv[1], name)
db = sqlite3.connect(at("ledger.db"), isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("create table told (word text)")
number = os.open(at("mapped"), os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(number, 8192)
mapped = mmap.mmap(number, 8192)
open(at("note"), "w").write("first")
reader = open(at("note"))
log = open(at("log"), "a")
lock = open(at("lock"), "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
gone = open(at("gone"), "w+")
gone.write("gone"); gone.flush(); os.unlink(at("gone"))
renamed = open(at("old"), "w+")
os.link(at("old"), at("new")); os.unlink(at("old"))
twice = open(at("twice"), "w+")
os.link(at("twice"), at("inner/again"))
print("ready", flush=True)

def look(word):
    db.execute("insert into told values (?)", (word,))
    with open(at("note"), "r+") as file: file.write(word[:5].ljust(5))
    mapped[:5] = word[:5].ljust(5).encode()
    for file in (renamed, twice):
        file.seek(0); file.write(word); file.truncate(); file.flush()
    log.write(word + " "); log.flush()
    reader.seek(0); gone.seek(0)
    read = lambda name: open(at(name)).read().rstrip("\\0")
    told = ",".join(row[0] for row in db.execute("select word from told"))
    whole = db.execute("pragma integrity_check").fetchone()[0]
    return [told, whole, reader.read(), read("mapped"), read("log"), gone.read(), read("new"), read("inner/again")]

while True:
    try:
        with open("/dev/shm/word") as file: word = file.read().strip()
        os.unlink("/dev/shm/word")
    except OSError:
        time.sleep(0.01)
        continue
    try: answer = "|".join(look(word))
    except (OSError, sqlite3.Error) as error: answer = "failed: " + str(error)
    with open("/dev/shm/answer.new", "w") as file: file.write(answer)
    os.rename("/dev/shm/answer.new", "/dev/shm/answer")
`;

/** The program under the name "ledger", with its folder as a volume. */
async function start(stage: Stage): Promise<string> {
  const program = await stage.write("ledger.py", LEDGER);
  const folder = `${stage.folder}/ledger`;
  await Deno.mkdir(`${folder}/inner`, { recursive: true });
  await stage.write("ledger/left alone", "as it was");
  if (stage.product.length > 1) await must(["chown", "-R", "nobody:nogroup", folder]);
  await stage.stasis("run", "-d", "--name", "ledger", "--volume", folder, "--", "python3", program, folder);
  await until("the program run", async () => (await stage.logs("ledger")).includes("ready") || undefined);
  return folder;
}

async function tell(stage: Stage, name: string, word: string): Promise<string> {
  const script = `rm -f /dev/shm/answer; echo ${word} >/dev/shm/new; mv /dev/shm/new /dev/shm/word
    while ! cat /dev/shm/answer 2>/dev/null; do sleep 0.01; done`;
  return (await stage.stasis("exec", name, "--", "timeout", "20", "sh", "-c", script)).trim();
}

/** What the program answers that was told these words. */
function answer(...words: string[]): string {
  const last = words.at(-1) ?? "";
  const short = last.slice(0, 5).padEnd(5);
  return [words.join(","), "ok", short, short, `${words.join(" ")} `, "gone", last, last].join("|");
}

/** Everything in a folder: contents of files, names of what else there is. */
async function contents(folder: string): Promise<string> {
  return await must([
    "sh",
    "-c",
    'cd "$1" && find . | sort && find . -type f | sort | xargs -d "\\n" sha256sum',
    "-",
    folder,
  ]);
}

async function views(stage: Stage): Promise<Record<string, string | undefined>> {
  const apps: { name: string; state: string; volumes?: { view: string }[] }[] = JSON.parse(
    await stage.stasis("ps", "--json"),
  );
  const running = apps.filter((one) => one.state === "running");
  return Object.fromEntries(running.map((one) => [one.name, one.volumes?.[0]?.view]));
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
}

async function end(stage: Stage, ...apps: string[]): Promise<void> {
  for (const name of apps) {
    const { aid } = await stage.application(name);
    await stage.stasis("kill", aid);
    await stage.attempt("wait", aid);
    await stage.stasis("rm", aid);
  }
}

/** Clones are made, changed, captured and made again, by whoever the stage is for. */
async function playClones(stage: Stage, view: string): Promise<void> {
  const folder = await start(stage);
  strictEqual(await tell(stage, "ledger", "before"), answer("before"));
  const id = await stage.stasis("snapshot", "ledger", "-q");
  await stage.stasis("verify", id);
  await stage.stasis("template", "create", id, "--name", "t");
  match(await stage.stasis("template", "show", "t"), /^volume .*non-shareable +copy-on-write/m);
  await end(stage, "ledger");
  const before = await contents(folder);
  await stage.stasis("clone", "t", "--count", "3");
  deepStrictEqual(await views(stage), { "t-1": view, "t-2": view, "t-3": view });

  // What the clones lie on is theirs now.
  await stage.stasis("template", "rm", "t");
  await stage.stasis("rm", id);
  for (const name of ["t-1", "t-2", "t-3"]) await tell(stage, name, name);
  for (const name of ["t-1", "t-2", "t-3"]) {
    strictEqual(await tell(stage, name, "after"), answer("before", name, "after"));
    strictEqual(await stage.stasis("exec", name, "--", "cat", `${folder}/left alone`), "as it was");
  }
  strictEqual(await contents(folder), before);

  await stage.stasis("exec", "t-1", "--", "rm", `${folder}/left alone`);
  await stage.stasis("exec", "t-1", "--", "sh", "-c", `echo more > "${folder}/inner/more"`);
  await stage.roundTrip("t-1");
  strictEqual(await tell(stage, "t-1", "again"), answer("before", "t-1", "after", "again"));
  strictEqual(
    await stage.stasis("exec", "t-1", "--", "ls", folder).then((text) => text.includes("alone")),
    false,
  );
  await stage.stasis("template", "create", "t-1@latest", "--name", "u");
  await stage.stasis("clone", "u", "--count", "2");
  strictEqual(await stage.stasis("exec", "u-1", "--", "cat", `${folder}/inner/more`), "more");
  strictEqual(await tell(stage, "u-1", "u"), answer("before", "t-1", "after", "u"));
  strictEqual(await tell(stage, "u-2", "v"), answer("before", "t-1", "after", "v"));
  strictEqual(await tell(stage, "t-2", "end"), answer("before", "t-2", "after", "end"));

  await end(stage, "t-1", "t-2", "t-3", "u-1", "u-2");
  await stage.stasis("rm", (await stage.application("t-1")).aid);
  deepStrictEqual(names(`${stage.env.STASIS_HOME}/data/layers`), []);
  deepStrictEqual(names(`${stage.env.STASIS_HOME}/data/apps`), [".lock"]);
  strictEqual(await contents(folder), before);
}

Deno.test("each clone sees a view of its own of a volume, which can be captured in turn", async () => {
  await using stage = await Stage.open();
  await playClones(stage, "overlay");
});

Deno.test("an ordinary user's clones see views of their own", async () => {
  await using stage = await Stage.openForOrdinaryUser();
  await playClones(stage, "overlay");
});

Deno.test({
  name: "where no overlay can be had, each clone has a copy",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using stage = await Stage.open();
    await using _home = await mounted(stage, "overlay", async (folder) => {
      for (const name of ["lower", "upper", "work"]) await Deno.mkdir(`${folder}/${name}`);
      return `lowerdir=${folder}/lower,upperdir=${folder}/upper,workdir=${folder}/work`;
    });
    await playClones(stage, "copy");
  },
});

Deno.test("a restore takes the host's folder as it is, or puts it back and keeps what it held", async () => {
  await using stage = await Stage.open();
  const folder = await start(stage);
  await tell(stage, "ledger", "before");
  await stage.stasis("snapshot", "ledger");
  await tell(stage, "ledger", "lost");
  const refused = await stage.attempt(
    "restore",
    "ledger@latest",
    "-d",
    "--name",
    "other",
    "--volumes",
    "back",
  );
  strictEqual(refused.code, 30, refused.stderr);
  match(refused.stderr, /the application "ledger" uses it/);
  await end(stage, "ledger");
  const later = await contents(folder);

  const note = /what it held is in "([^"]*)"/;
  const { stderr } = await stage.attempt("restore", "ledger@latest", "-d", "--volumes", "back");
  const kept = note.exec(stderr)?.[1];
  ok(kept !== undefined, stderr);
  strictEqual(await contents(kept), later);
  strictEqual(await tell(stage, "ledger", "back"), answer("before", "back"));
  match(await Deno.readTextFile(`${folder}/log`), /^before back $/);
  await end(stage, "ledger");

  await stage.stasis("restore", "ledger@latest", "-d", "--volumes", "host");
  deepStrictEqual(await views(stage), { ledger: "host" });
  await end(stage, "ledger");
  deepStrictEqual(names(stage.folder).filter((name) => name.includes("new")), []);
});

Deno.test("only what has changed is copied while the application stands still", async () => {
  await using stage = await Stage.open();
  const folder = `${stage.folder}/data`;
  await Deno.mkdir(folder);
  await must(["dd", "if=/dev/urandom", `of=${folder}/large`, "bs=1M", "count=64"]);
  await stage.stasis("run", "-d", "--name", "idle", "--volume", folder, "--", "sleep", "1000");
  const inode = async () => {
    const { dir } = JSON.parse(await stage.stasis("snapshot", "idle", "--json"));
    return (await Deno.stat(`${dir}/volumes/0/large`)).ino;
  };
  await inode();
  await until(
    "the clock of the file system tick",
    () => Date.now() - Deno.statSync(`${folder}/large`).ctime!.getTime() > 200,
  );
  const first = await inode();
  strictEqual(await inode(), first, "a file that has not changed is the one of the snapshot before");
  await stage.write("data/large", "another");
  const { dir } = JSON.parse(await stage.stasis("snapshot", "idle", "--json"));
  strictEqual(await Deno.readTextFile(`${dir}/volumes/0/large`), "another");
  await stage.stasis("verify");
});

Deno.test("a capture that was changed is found out before anything is made of it", async () => {
  await using stage = await Stage.open();
  await start(stage);
  const { dir } = JSON.parse(await stage.stasis("snapshot", "ledger", "--stop", "--json"));
  await must([
    "sh",
    "-c",
    'touch -r "$1" /tmp/$$; printf X | dd of="$1" bs=1 conv=notrunc; touch -r /tmp/$$ "$1"; rm /tmp/$$',
    "-",
    `${dir}/volumes/0/note`,
  ]);
  for (const words of [["verify"], ["restore", "ledger@latest", "-d"]]) {
    const { code, stdout, stderr } = await stage.attempt(...words);
    strictEqual(code, 20, stdout + stderr);
    match(stdout + stderr, /checksum of its contents/);
  }
});

Deno.test("what cannot be a volume is refused", async () => {
  await using stage = await Stage.open();
  await Deno.mkdir(`${stage.folder}/a/b`, { recursive: true });
  await stage.write("file", "");
  const wrong = [["none"], ["file"], ["a", "a/b"], ["a", "a"], ["home"], ["."], ["/dev/shm"]];
  for (const paths of wrong) {
    const words = paths.flatMap((
      path,
    ) => ["--volume", path.startsWith("/") ? path : `${stage.folder}/${path}`]);
    const { code, stderr } = await stage.attempt("run", "-d", ...words, "--", "sleep", "1");
    strictEqual(code, 2, `${paths}: ${stderr}`);
  }
});

Deno.test({
  name: "a full disk is the application's own trouble, and keeps a clone from being made",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    await using stage = await Stage.open();
    await using _home = await mounted(stage, "tmpfs", () => Promise.resolve("size=64m,mode=0755"));
    const folder = await start(stage);
    await stage.stasis("snapshot", "ledger", "--stop", "-q");
    await stage.stasis("template", "create", "ledger@latest", "--name", "t");
    await stage.stasis("clone", "t", "--count", "2");
    const fill = ["dd", "if=/dev/zero", `of=${folder}/filler`, "bs=64k"];
    const filled = await stage.attempt("exec", "t-1", "--", ...fill);
    match(filled.stderr, /No space left on device/);
    match(await tell(stage, "t-2", "stuck"), /failed: /);
    const known = names(`${stage.env.STASIS_HOME}/data/apps`);
    const { code, stderr } = await stage.attempt("clone", "t");
    ok(code !== 0 && /No space left on device/.test(stderr), stderr);
    match(stderr, /Nothing was left behind/);
    deepStrictEqual(names(`${stage.env.STASIS_HOME}/data/apps`), known);
    const failed = await stage.attempt("snapshot", "t-2");
    ok(failed.code !== 0 && /No space left on device/.test(failed.stderr), failed.stderr);
    strictEqual(names(`${stage.env.STASIS_HOME}/data/snapshots`).length, 1);
    await stage.stasis("exec", "t-1", "--", "rm", `${folder}/filler`);
    ok((await tell(stage, "t-2", "free")).includes("free|ok|"));
    await stage.stasis("clone", "t");
  },
});

/** Mounts a file system of the test's own as the home, until the test is over. */
async function mounted(
  stage: Stage,
  kind: string,
  options: (folder: string) => Promise<string>,
): Promise<AsyncDisposable> {
  const home = `${stage.folder}/home`;
  const layers = await Deno.makeTempDir({ dir: stage.folder });
  await Deno.mkdir(home);
  await must(["mount", "-t", kind, "-o", await options(layers), kind, home]);
  return {
    async [Symbol.asyncDispose]() {
      for (const name of Object.keys(await views(stage))) await stage.attempt("kill", name);
      await until(
        "the home come free",
        async () => (await capture(["umount", home])).code === 0 || undefined,
      );
    },
  };
}
