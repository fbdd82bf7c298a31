import { match, ok, strictEqual } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { buildProgram } from "../program.ts";
import { bashCompletions } from "./bash.ts";
import { fishCompletions } from "./fish.ts";
import { manualPage } from "./manual.ts";
import { flagsOf, verbsOf, wholeName } from "./tree.ts";
import { zshCompletions } from "./zsh.ts";

const program = buildProgram(() => {
  throw new Error("nothing is run here");
});
const [VERBS, FLAGS] = [verbsOf(program), flagsOf(program)];

/** What bash offers for a command line whose end is the cursor. */
function offered(line: string, ids = ""): string[] {
  // bash hands completion functions the line split at blanks and word breaks such as "@" and "=".
  const words = line.split(/\s+|(?=[@=])|(?<=[@=])/);
  const script = `${bashCompletions(VERBS, FLAGS)}
    stasis() { printf '%s\\n' ${ids}; }
    COMP_LINE=$1 COMP_POINT=\${#1}; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _stasis; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script, "bash", line, ...words], { encoding: "utf8" });
  strictEqual(stderr, "");
  return stdout.split("\n").filter((word) => word !== "");
}

Deno.test("bash completes commands, options and shells", () => {
  strictEqual(offered("stasis sna").join(), "snapshot,snapshots");
  strictEqual(offered("stasis snapshot --s").join(), "--stop");
  strictEqual(offered("stasis completions f").join(), "fish");
  strictEqual(offered("stasis help rest").join(), "restore");
});

Deno.test("bash completes ids, also behind an @", () => {
  strictEqual(offered("stasis restore we", "web@latest 0123456789ab").join(), "web@latest");
  strictEqual(offered("stasis restore web@la", "web@latest 0123456789ab").join(), "latest");
  ok(offered("stasis kill ", "web").includes("web"));
});

Deno.test("bash completes the values of options", () => {
  strictEqual(offered("stasis kill -s HU").join(), "HUP");
  strictEqual(offered("stasis run --name x", "web").join(), "");
  ok(offered("stasis snapshot --out /us").includes("/usr"));
});

Deno.test("bash completes the commands of a group, and what belongs to each", () => {
  strictEqual(offered("stasis tem").join(), "template");
  strictEqual(offered("stasis template c").join(), "create,check");
  strictEqual(offered("stasis template create --n").join(), "--name");
  strictEqual(offered("stasis template show w", "web").join(), "web");
  ok(offered("stasis template create --rules /et").includes("/etc"));
  strictEqual(offered("stasis clone --keep").join(), "--keep-going");
});

Deno.test("environments are completed wherever one is named", () => {
  for (const line of ["run --vne ", "restore --vne ", "clone web --vne ", "vne show ", "vne rm "]) {
    ok(offered(`stasis ${line}sh`, "shop").includes("shop"), line);
  }
  for (const script of [zshCompletions(VERBS, FLAGS), fishCompletions(VERBS, FLAGS)]) {
    ok(script.includes("ids environment"));
  }
});

Deno.test("fish tells the commands of a group from others of the same name", () => {
  const lines = fishCompletions(VERBS, FLAGS).split("\n").filter((line) => line.includes("_from rm"));
  ok(
    lines.some((line) =>
      line.includes("'__fish_seen_subcommand_from template; and __fish_seen_subcommand_from rm'")
    ),
  );
  ok(
    lines.some((line) =>
      line.includes(
        "_from rm; and not __fish_seen_subcommand_from template; and not __fish_seen_subcommand_from vne'",
      )
    ),
  );
  ok(!lines.some((line) => line.includes("-n '__fish_seen_subcommand_from rm'")));
});

Deno.test("the completions of zsh and fish name every command and option", () => {
  for (const script of [zshCompletions(VERBS, FLAGS), fishCompletions(VERBS, FLAGS)]) {
    for (const verb of VERBS) match(script, new RegExp(`\\b${verb.name}\\b`));
    for (const word of ["follow", "ids snapshot", "detach"]) ok(script.includes(word), word);
  }
});

Deno.test("the manual page has a section for every command and every exit code", () => {
  const page = manualPage(VERBS, FLAGS, "1.2.3");
  for (const verb of VERBS) ok(page.includes(`.SS ${wholeName(verb).replaceAll("-", "\\-")}\n`), verb.name);
  for (const code of ["no_target", "image_damaged", "interrupted"]) ok(page.includes(`(${code})`), code);
  ok(page.includes("stasis 1.2.3"));
});

Deno.test("the command that completes ids is hidden", () => {
  ok(!VERBS.some((verb) => verb.name === "complete-ids"));
});
