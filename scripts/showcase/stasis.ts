/** The product, run as a user would, with its state in a folder of its own. */

import { fileURLToPath } from "node:url";

const PRODUCT = fileURLToPath(new URL("../../dist/stasis", import.meta.url));

export class Stasis {
  readonly #env: Record<string, string>;

  constructor(folder: string) {
    this.#env = { STASIS_HOME: `${folder}/home` };
  }

  /** Runs a command and prints it with all that it says. */
  async show(args: string[]): Promise<void> {
    console.log(`\n$ stasis ${args.join(" ")}`);
    const { success, code } = await this.#command(args, "inherit").output();
    if (!success) throw new Error(`Could not run "stasis ${args.join(" ")}": exit ${code}`);
  }

  /** How many applications run. */
  async running(): Promise<number> {
    return (await this.#applications()).filter((application) => application.state === "running").length;
  }

  /** Ends whatever still runs. */
  async killAll(): Promise<void> {
    for (const { aid, state } of await this.#applications()) {
      if (state === "running") await this.#command(["stop", aid], "null").output();
    }
  }

  async #applications(): Promise<{ aid: string; state: string }[]> {
    const { success, stdout, stderr } = await this.#command(["ps", "--json"], "piped").output();
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    if (!success) throw new Error(`Could not list applications: ${text(stderr)}`);
    const listed: unknown = JSON.parse(text(stdout));
    return Array.isArray(listed) ? listed : (listed as { apps: [] }).apps;
  }

  #command(args: string[], output: "inherit" | "piped" | "null"): Deno.Command {
    return new Deno.Command(PRODUCT, { args, env: this.#env, stdin: "null", stdout: output, stderr: output });
  }
}
