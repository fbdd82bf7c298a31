/** Runs a program of the build, and shows what it said only when it failed. */

export interface Options {
  cwd?: string;
  env?: Record<string, string>;
}

/** Ends with an error that holds the program's output when it cannot be started or fails. */
export async function run(program: string, args: string[], options: Options = {}): Promise<string> {
  const text = [program, ...args].join(" ");
  let output;
  try {
    output = await new Deno.Command(program, { args, ...options, stdin: "null" }).output();
  } catch (error) {
    throw new Error(`Could not run "${text}": ${error instanceof Error ? error.message : error}`);
  }
  const said = new TextDecoder().decode(output.stdout);
  if (output.success) return said;
  throw new Error(
    `Could not run "${text}": exit ${output.code}\n${said}${new TextDecoder().decode(output.stderr)}`,
  );
}
