/** The programs that are measured side by side: each takes and restores a snapshot of the same ballast. */

import { Ballast } from "./ballast.ts";

/** What one round showed, in milliseconds and bytes. */
export interface Round {
  /** The longest time that the program itself stood still while a snapshot left it running. */
  pause: number;
  /** The whole command that takes a snapshot and leaves the program running. */
  snapshot: number;
  /** The whole command that brings it back. */
  restore: number;
  /** Of that, the restore itself, where the tool tells: without the start of the command. */
  restoring?: number;
  image: number;
}

export interface Tool {
  readonly name: string;
  round(folder: string, size: number): Promise<Round>;
}

async function run(argv: string[], env: Record<string, string> = {}): Promise<number> {
  const [program = "", ...args] = argv;
  const start = performance.now();
  const command = new Deno.Command(program, { args, env, stdin: "null", stdout: "null", stderr: "piped" });
  const { success, stderr } = await command.output();
  if (!success) throw new Error(`Could not run ${argv.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return performance.now() - start;
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    bytes += entry.isDirectory ? await bytesIn(path) : (await Deno.stat(path)).size;
  }
  return bytes;
}

/** Our own, with an application that it started itself. */
export class Stasis implements Tool {
  readonly name = "stasis";
  constructor(readonly program: string) {}

  async round(folder: string, size: number): Promise<Round> {
    const ballast = await Ballast.prepare(folder, size);
    const env = { STASIS_HOME: `${folder}/home` };
    const stasis = (...args: string[]) => run([this.program, ...args], env);
    await stasis("run", "-d", "--name", "ballast", "--", ...ballast.argv);
    try {
      await ballast.ready();
      await ballast.longestGap();
      const snapshot = await stasis("snapshot", "ballast", "--out", `${folder}/running`);
      const pause = await ballast.longestGap();
      await stasis("snapshot", "ballast", "--out", `${folder}/stopped`, "--stop");
      const { restore, restoring } = await this.#restore(folder, env);
      await ballast.longestGap();
      return { pause, snapshot, restore, restoring, image: await bytesIn(`${folder}/running`) };
    } finally {
      await stasis("kill", "ballast").catch(() => 0);
    }
  }

  async #restore(
    folder: string,
    env: Record<string, string>,
  ): Promise<{ restore: number; restoring: number }> {
    const args = ["restore", `${folder}/stopped`, "-d", "--json"];
    const start = performance.now();
    const { success, stdout, stderr } = await new Deno.Command(this.program, { args, env }).output();
    const restore = performance.now() - start;
    if (!success) throw new Error(`Could not restore: ${new TextDecoder().decode(stderr)}`);
    const { total_us } = JSON.parse(new TextDecoder().decode(stdout)) as { total_us: number };
    return { restore, restoring: total_us / 1000 };
  }
}

/** The field's reference tool, where it is on PATH: run as its manual says for a tree of its own session. */
export class Criu implements Tool {
  readonly name = "criu";

  static async isThere(): Promise<boolean> {
    return await run(["criu", "check"]).then(() => true, () => false);
  }

  async round(folder: string, size: number): Promise<Round> {
    const ballast = await Ballast.prepare(folder, size);
    // An init of their own gives the tree its pids back, whatever runs on the host.
    const inside = ["unshare", "--pid", "--fork", "--mount-proc", "bash", `${folder}/criu.sh`];
    await Deno.writeTextFile(`${folder}/criu.sh`, CRIU_SCRIPT);
    const output = new Deno.Command(inside[0] ?? "", {
      args: [...inside.slice(1), folder, ...ballast.argv],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    });
    const child = output.spawn();
    const figures = await this.#measured(child, ballast);
    return { ...figures, image: await bytesIn(`${folder}/running`) };
  }

  async #measured(child: Deno.ChildProcess, ballast: Ballast): Promise<Omit<Round, "image">> {
    await ballast.ready();
    const lines = (await new Response(child.stdout).text()).trim().split("\n");
    if (!(await child.status).success) throw new Error(`Could not measure criu: ${lines.join("; ")}`);
    const figure = (name: string) => {
      const words = lines.find((line) => line.startsWith(`${name} `))?.split(" ") ?? [];
      return Number(words[1]);
    };
    return { pause: figure("pause"), snapshot: figure("snapshot"), restore: figure("restore") };
  }
}

const CRIU_SCRIPT = `
exec < /dev/null
folder=$1; shift
setsid "$@" < /dev/null > /dev/null 2>&1 10<&- &
pid=$!
while ! [ -e "$folder/answer" ]; do sleep 0.05; done
sleep 0.5
mkdir "$folder/running" "$folder/stopped"
milliseconds() { awk -v from=$1 -v to=$2 'BEGIN { printf "%.1f", (to - from) / 1e6 }'; }
ask() { : > "$folder/answer.ask"; while [ -e "$folder/answer.ask" ]; do sleep 0.01; done; sleep 0.05; }
ask
from=$(date +%s%N)
criu dump -t $pid -D "$folder/running" --leave-running -v1 || exit 1
to=$(date +%s%N)
ask
echo pause $(awk '{ print $2 / 1000000 }' "$folder/answer")
echo snapshot $(milliseconds $from $to)
criu dump -t $pid -D "$folder/stopped" -v1 || exit 1
from=$(date +%s%N)
criu restore -D "$folder/stopped" -d -v1 || exit 1
to=$(date +%s%N)
echo restore $(milliseconds $from $to)
kill -9 $pid
`;
