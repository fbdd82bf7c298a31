/** A host to measure on: a network namespace in which the product runs, and whose links are known one by one. */

import { fileURLToPath } from "node:url";

const decoder = new TextDecoder();

/** Runs a command that must succeed, and returns what it printed. */
export async function output(argv: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const [program = "", ...args] = argv;
  const options = { args, env, stdin: "null", stdout: "piped", stderr: "piped" } as const;
  const { success, stdout, stderr } = await new Deno.Command(program, options).output();
  if (!success) throw new Error(`Could not run ${argv.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** A network namespace, for as long as it is not disposed of; loopback is up. */
export class Namespace implements AsyncDisposable {
  private constructor(readonly holder: Deno.ChildProcess) {}

  static async open(): Promise<Namespace> {
    const args = ["--net", "sh", "-c", "ip link set lo up && echo && exec cat"];
    const holder = new Deno.Command("unshare", { args, stdin: "piped", stdout: "piped" }).spawn();
    const reader = holder.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    return new Namespace(holder);
  }

  get pid(): string {
    return String(this.holder.pid);
  }

  argv(...words: string[]): string[] {
    return ["nsenter", `--target=${this.pid}`, "--net", "--", ...words];
  }

  run(...words: string[]): Promise<string> {
    return output(this.argv(...words));
  }

  /** Runs lines of ip(8) and tc(8). */
  async set(...lines: string[]): Promise<void> {
    for (const line of lines) await this.run(...line.split(" "));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.holder.stdin.close();
    await this.holder.stdout.cancel();
    await this.holder.status;
  }
}

/** A namespace with a state folder of its own, and the programs that are measured with. */
export class Host implements AsyncDisposable {
  private constructor(
    readonly product: string,
    readonly folder: string,
    readonly network: Namespace,
  ) {}

  static async open(product: string): Promise<Host> {
    const folder = await Deno.makeTempDir({ prefix: "stasis-bench-" });
    const source = fileURLToPath(new URL("../traffic.c", import.meta.url));
    await output(["cc", "-O2", "-o", `${folder}/traffic`, source]);
    return new Host(product, folder, await Namespace.open());
  }

  get traffic(): string {
    return `${this.folder}/traffic`;
  }

  stasis(...args: string[]): Promise<string> {
    return output(this.network.argv(this.product, ...args), { STASIS_HOME: `${this.folder}/home` });
  }

  /** How many milliseconds a command takes. */
  async timed(...args: string[]): Promise<number> {
    const begun = performance.now();
    await this.stasis(...args);
    return performance.now() - begun;
  }

  /** Ends and forgets all applications. */
  async end(): Promise<void> {
    const apps = lines(await this.stasis("ps", "--quiet"));
    for (const aid of apps) {
      await this.stasis("kill", aid).catch(() => {});
      await this.stasis("wait", aid).catch(() => {});
    }
    if (apps.length > 0) await this.stasis("rm", ...apps);
  }

  /** Removes all environments, too. */
  async clear(): Promise<void> {
    await this.end();
    for (const name of lines(await this.stasis("vne", "ls", "--quiet"))) await this.stasis("vne", "rm", name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.clear().catch(() => {});
    await this.network[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

function lines(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}
