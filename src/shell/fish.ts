import { areIds, fixedWords, type Flag, groupsOf, topOf, type Verb, type Words } from "./tree.ts";

/** Completions for fish: a file `stasis.fish` in ~/.config/fish/completions. */
export function fishCompletions(verbs: readonly Verb[], flags: readonly Flag[]): string {
  const lines = [
    "# fish completion for stasis: stasis completions fish | source",
    "complete -c stasis -f",
    ...flags.map((flag) => lineOf("__fish_use_subcommand", flag, verbs)),
    ...topOf(verbs).map(({ name, summary }) =>
      `complete -c stasis -n __fish_use_subcommand -a ${name} -d ${quote(summary)}`
    ),
    ...groupsOf(verbs).flatMap(([{ name }, members]) => membersOf(name, members)),
    ...verbs.flatMap((verb) => linesOf(verb, verbs)),
  ];
  return `${lines.join("\n")}\n`;
}

/** The commands of a group, which are offered until one of them is there. */
function membersOf(group: string, members: readonly Verb[]): string[] {
  const names = members.map((member) => member.name).join(" ");
  const condition = quote(
    `__fish_seen_subcommand_from ${group}; and not __fish_seen_subcommand_from ${names}`,
  );
  return members.map(({ name, summary }) =>
    `complete -c stasis -n ${condition} -a ${name} -d ${quote(summary)}`
  );
}

/** When a command is the one that is being written; `rm` is one of its own and one of `template`. */
function conditionFor({ name, group }: Verb, verbs: readonly Verb[]): string {
  const seen = `__fish_seen_subcommand_from ${name}`;
  if (group !== undefined) return quote(`__fish_seen_subcommand_from ${group.name}; and ${seen}`);
  const namesakes = verbs.filter((verb) => verb.name === name).flatMap((verb) => verb.group?.name ?? []);
  return quote(
    [seen, ...namesakes.map((other) => `not __fish_seen_subcommand_from ${other}`)].join("; and "),
  );
}

function linesOf(verb: Verb, verbs: readonly Verb[]): string[] {
  const condition = conditionFor(verb, verbs);
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
  const required = completion === "file" ? " -r -F" : " -x";
  const argument = value === undefined ? "" : `${required}${actionFor(completion, verbs)}`;
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
