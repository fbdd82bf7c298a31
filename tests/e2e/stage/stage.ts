/** Where a test plays: the product with its state in a folder of its own, and nothing left when the curtain falls. */

import { ok, strictEqual } from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { applicationsIn, endApplications, loadedTemplates } from "./state_folder.ts";

export { freePort } from "./ports.ts";

export const PRODUCT = fileURLToPath(new URL("../../../dist/stasis", import.meta.url));
/** What tests keep from one to the next: the unpacked product, the build cache of Go. */
export const CACHE = fileURLToPath(new URL("../../../dist/cache", import.meta.url));
const NOBODY = 65534;
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end. */
export async function capture(argv: readonly string[], options: Deno.CommandOptions = {}): Promise<Outcome> {
  const [program = "", ...args] = argv;
  const command = new Deno.Command(program, {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
    args,
  });
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Runs a command that must succeed, and returns its output without the last newline. */
export async function must(argv: readonly string[], options: Deno.CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await capture(argv, options);
  strictEqual(code, 0, `${argv.join(" ")}\n${stdout}${stderr}`);
  return stdout.trimEnd();
}

/** Waits until `look` finds something; what it waits for is named in the failure. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
  seconds = 30,
): Promise<T> {
  const deadline = performance.now() + seconds * 1000;
  let failure: unknown;
  while (performance.now() < deadline) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
    } catch (error) {
      failure = error;
    }
    await delay(20);
  }
  throw new Error(`Could not see ${what} within ${seconds} s`, { cause: failure });
}

export class Stage implements AsyncDisposable {
  readonly env: Record<string, string>;
  /** What the product is run by, for a test that plays in other namespaces. */
  within: readonly string[] = [];
  /** Where the test sees the root of the file system that the product sees: /proc/PID/root of one in its mount namespace. */
  root = "";

  private constructor(
    readonly folder: string,
    readonly product: readonly string[] = [PRODUCT],
    cache = CACHE,
  ) {
    const own = { HOME: folder, STASIS_HOME: `${folder}/home`, XDG_CACHE_HOME: cache };
    this.env = { PATH: SYSTEM_PATH, LANG: "C.UTF-8", ...own };
  }

  static async open(): Promise<Stage> {
    const folder = await Deno.makeTempDir({ prefix: "stasis-e2e-" });
    // Programs that give up root must get through.
    await Deno.chmod(folder, 0o755);
    return new Stage(folder);
  }

  /** One on which the product is run by an ordinary user: by nobody when the tests are root's. */
  static async openForOrdinaryUser(): Promise<Stage> {
    const { folder } = await Stage.open();
    if (Deno.uid() !== 0) return new Stage(folder);
    const product = `${folder}/stasis`;
    await Deno.copyFile(PRODUCT, product);
    await Deno.chown(folder, NOBODY, NOBODY);
    const user = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "--"];
    return new Stage(folder, [...user, product], `${folder}/.cache`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const aid of await endApplications(this.#home)) {
      await this.attempt("kill", aid);
      await this.attempt("wait", aid);
    }
    for (const name of loadedTemplates(this.#home)) {
      await this.attempt("template", "unload", name);
    }
    await Deno.remove(this.folder, { recursive: true });
  }

  /** Runs the product, whatever comes of it. */
  attempt(...args: string[]): Promise<Outcome> {
    return capture([...this.within, ...this.product, ...args], this.#options());
  }

  /** Runs the product, which must succeed. Returns what it wrote to standard output. */
  stasis(...args: string[]): Promise<string> {
    return must([...this.within, ...this.product, ...args], this.#options());
  }

  /** Starts the product, for a test that does something while it runs. */
  spawn(...args: string[]): Deno.ChildProcess {
    const [program = "", ...words] = [...this.within, PRODUCT, ...args];
    const streams = { stdin: "null", stdout: "null", stderr: "null" } as const;
    return new Deno.Command(program, { ...this.#options(), ...streams, args: words }).spawn();
  }

  /** Starts an application in the background. */
  async run(name: string, ...argv: string[]): Promise<void> {
    await this.stasis("run", "-d", "--name", name, "--", ...argv);
  }

  /** Puts an application away and brings it back. */
  async roundTrip(name: string): Promise<void> {
    await this.stasis("snapshot", name, "--stop");
    const { state } = await this.application(name);
    strictEqual(state, "exited", "no process is left after a snapshot that stops");
    await this.stasis("restore", `${name}@latest`, "-d");
    strictEqual((await this.application(name)).state, "running");
  }

  /** The newest application of that name. */
  async application(name: string): Promise<{ aid: string; name: string; state: string; pid?: number }> {
    const all = applications(await this.stasis("ps", "--json")).filter((one) => one.name === name);
    const one = all.find(({ state }) => state === "running") ?? all[0];
    ok(one !== undefined, `there is an application called ${name}`);
    return one;
  }

  /** The log of the newest application of that name, all of it. */
  async logs(name: string): Promise<string> {
    const one = applicationsIn(this.#home).find((one) => one.name === name);
    ok(one !== undefined, `there is an application called ${name}`);
    return (await Deno.readTextFile(`${one.folder}/log`)).trimEnd();
  }

  async write(name: string, text: string): Promise<string> {
    const path = `${this.folder}/${name}`;
    await Deno.writeTextFile(path, text);
    return path;
  }

  get #home(): string {
    return `${this.root}${this.folder}/home`;
  }

  #options(): Deno.CommandOptions {
    return { env: this.env, clearEnv: true };
  }
}

function applications(json: string): { aid: string; name: string; state: string; pid?: number }[] {
  const listed: unknown = JSON.parse(json === "" ? "[]" : json);
  return Array.isArray(listed) ? listed : (listed as { apps: [] }).apps;
}
