/** The product alone in a folder of its own, with an environment of its own: as on a server that has nothing else. */

import { fileURLToPath } from "node:url";

const PRODUCT = fileURLToPath(new URL("../../dist/stasis", import.meta.url));

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

export class OneFile implements AsyncDisposable {
  readonly folder: string;
  readonly product: string;
  readonly home: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.product = `${folder}/alone/stasis`;
    this.home = `${folder}/home`;
  }

  static async copy(): Promise<OneFile> {
    const file = new OneFile(await Deno.makeTempDir({ prefix: "stasis-packaging-" }));
    // Other users start it too.
    await Deno.chmod(file.folder, 0o755);
    await Deno.mkdir(`${file.folder}/alone`);
    await Deno.copyFile(PRODUCT, file.product);
    await Deno.mkdir(file.home);
    return file;
  }

  /** Starts it with these variables and no others, by way of another program if one is named. */
  async start(args: string[], env: Record<string, string>, by: string[] = []): Promise<Ended> {
    const [program = "", ...rest] = [...by, this.product, ...args];
    const command = new Deno.Command(program, {
      args: rest,
      cwd: `${this.folder}/alone`,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
      clearEnv: true,
      stdin: "null",
    });
    const { code, stdout, stderr } = await command.output();
    const decoder = new TextDecoder();
    return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  }

  /** What is kept in the home's cache. */
  cached(): string[] {
    const folder = `${this.home}/.cache/stasis`;
    try {
      return [...Deno.readDirSync(folder)].map((entry) => entry.name.replace(/-.*/, "")).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}
