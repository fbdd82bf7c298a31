import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { arrange, type Line, rewriteHosts } from "./hosts_file.ts";

const line = (address: string, name: string): Line => ({ address, name });
const WEB = line("10.10.2.1", "web");
const STORE = line("10.10.2.2", "store");
const SAFE = line("10.10.2.3", "safe");

class File implements Disposable {
  readonly folder = Deno.makeTempDirSync();
  readonly path = `${this.folder}/hosts`;

  write(...lines: Line[]): void {
    rewriteHosts(this.path, "shop", lines);
  }

  get text(): string {
    return Deno.readTextFileSync(this.path);
  }

  /** The lines of members. */
  get lines(): string[] {
    return this.text.split("\n").slice(3, -1).map((one) => one.trimEnd());
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("a line keeps its place as long as it holds, and a new one takes what is free", () => {
  const old = arrange([], [WEB, STORE, SAFE]);
  deepStrictEqual(old, ["10.10.2.1 web", "10.10.2.2 store", "10.10.2.3 safe"]);
  const without = arrange(old, [SAFE, WEB]);
  deepStrictEqual(without, ["10.10.2.1 web", "#", "10.10.2.3 safe"]);
  deepStrictEqual(arrange(without, [line("10.10.2.9", "new"), SAFE, WEB]), [
    "10.10.2.1 web",
    "10.10.2.9 new",
    "10.10.2.3 safe",
  ]);
  deepStrictEqual(arrange(old, [WEB]), ["10.10.2.1 web"], "nothing free is left at the end");
});

Deno.test("of lines with one name the first stands first, wherever there is place", () => {
  const [one, other] = [line("10.10.2.8", "web"), line("10.10.2.9", "web")];
  deepStrictEqual(arrange(["10.10.2.9 web", "10.10.2.2 store", "#"], [one, STORE, other]), [
    "10.10.2.8 web",
    "10.10.2.2 store",
    "10.10.2.9 web",
  ]);
});

Deno.test("the file stays the same one, readable for everybody, with lines of one length", () => {
  using file = new File();
  file.write(WEB, STORE);
  const { ino, mode } = Deno.statSync(file.path);
  strictEqual((mode ?? 0) & 0o777, 0o644);
  ok(file.text.split("\n").slice(0, -1).every((one) => one.length === 127));
  ok(file.text.includes('"shop"') && file.text.includes("127.0.0.1 localhost"));
  file.write(STORE);
  deepStrictEqual(file.lines, ["#", "10.10.2.2 store"]);
  file.write();
  deepStrictEqual(file.lines, []);
  file.write(SAFE);
  deepStrictEqual(file.lines, ["10.10.2.3 safe"]);
  strictEqual(Deno.statSync(file.path).ino, ino);
});

Deno.test("what holds already is not written again", () => {
  using file = new File();
  file.write(WEB);
  Deno.utimeSync(file.path, 7, 7);
  file.write(WEB);
  strictEqual(Deno.statSync(file.path).mtime?.getTime(), 7000);
});

Deno.test("what somebody else has written there is replaced", () => {
  using file = new File();
  Deno.writeTextFileSync(file.path, `${"x".repeat(1000)}\n`);
  file.write(WEB);
  deepStrictEqual(file.lines, ["10.10.2.1 web"]);
  strictEqual(file.text.length, 4 * 128);
});

Deno.test("names that cannot be written are an error", () => {
  throws(() => rewriteHosts("/nowhere/at/all", "shop", []), /names of the environment "shop"/);
});

/** Reads a file a page at a time, many times, and counts how often a line that always holds was not there once. */
const READER = `
const [path, times, kept] = [Deno.args[0], 500, 100];
let missed = 0;
for (let time = 0; time < times; time++) {
  using file = Deno.openSync(path);
  const page = new Uint8Array(4096);
  const decoder = new TextDecoder();
  let text = "";
  for (let length = file.readSync(page); length !== null; length = file.readSync(page)) {
    text += decoder.decode(page.subarray(0, length));
  }
  const lines = text.split("\\n").map((one) => one.trimEnd());
  const found = new Set(lines);
  for (let name = 0; name < kept; name++) {
    if (!found.has("10.10.2." + name + " kept" + name)) missed++;
  }
}
console.log(missed);
`;

Deno.test("whoever reads while lines come and go finds all that stay", async () => {
  using file = new File();
  const kept = Array.from({ length: 100 }, (_, index) => line(`10.10.2.${index}`, `kept${index}`));
  const others = Array.from({ length: 200 }, (_, index) => line(`10.10.3.${index}`, `other${index}`));
  const change = (round: number) => {
    // Before and behind those that stay, and never as many.
    const here = others.filter((_, index) => (index * 7 + round) % 5 < round % 3);
    file.write(...here.slice(0, 50), ...kept, ...here.slice(50));
  };
  change(1);
  const reader = new Deno.Command(Deno.execPath(), {
    args: ["eval", READER, file.path],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let isDone = false;
  const output = reader.output().finally(() => isDone = true);
  let round = 1;
  for (; !isDone; round++) {
    change(round);
    await new Promise((resolve) => setTimeout(resolve));
  }
  strictEqual(new TextDecoder().decode((await output).stdout).trim(), "0");
  ok(round > 10, `${round} changes`);
});
