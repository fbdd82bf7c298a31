import { areIds, fixedWords, type Flag, type Verb, type Words } from "./tree.ts";

/** Completions for fish: a file `stasis.fish` in ~/.config/fish/completions. */
export function fishCompletions(verbs: readonly Verb[], flags: readonly Flag[]): string {
  const lines = [
    "# fish completion for stasis: stasis completions fish | source",
    "complete -c stasis -f",
    ...flags.map((flag) => lineOf("__fish_use_subcommand", flag, verbs)),
    ...verbs.map((verb) =>
      `complete -c stasis -n __fish_use_subcommand -a ${verb.name} -d ${quote(verb.summary)}`
    ),
    ...verbs.flatMap((verb) => linesOf(verb, verbs)),
  ];
  return `${lines.join("\n")}\n`;
}

function linesOf(verb: Verb, verbs: readonly Verb[]): string[] {
  const condition = quote(`__fish_seen_subcommand_from ${verb.name}`);
  const [first] = verb.parameters;
  const candidates = first === undefined ? "" : actionFor(first.completion, verbs);
  const operand = candidates === "" ? [] : [`complete -c stasis -n ${condition}${candidates}`];
  return [...verb.flags.map((flag) => lineOf(condition, flag, verbs)), ...operand];
}

function lineOf(
  condition: string,
  { short, long, value, description, completion }: Flag,
  verbs: readonly Verb[],
): string {
  const letter = short === undefined ? "" : ` -s ${short.slice(1)}`;
  const argument = value === undefined ? "" : ` -x${actionFor(completion, verbs)}`;
  return `complete -c stasis -n ${condition}${letter} -l ${long.slice(2)}${argument} -d ${
    quote(description)
  }`;
}

function actionFor(words: Words, verbs: readonly Verb[]): string {
  if (words === "folder") return " -a '(__fish_complete_directories)'";
  if (words === "command") return " -a '(__fish_complete_subcommand --fcs-skip=2)'";
  if (areIds(words)) return ` -a '(stasis complete-ids ${words} 2>/dev/null)'`;
  const fixed = fixedWords(words, verbs);
  return fixed === "" ? "" : ` -a ${quote(fixed)}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
