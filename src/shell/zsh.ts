import {
  areIds,
  fixedWords,
  type Flag,
  type Group,
  groupsOf,
  type Parameter,
  topOf,
  type Verb,
  type Words,
} from "./tree.ts";

/** Completions for zsh: a file `_stasis` in a folder of `$fpath`, or sourced after `compinit`. */
export function zshCompletions(verbs: readonly Verb[], flags: readonly Flag[]): string {
  const alone = verbs.filter((verb) => verb.group === undefined).map((verb) => caseOf(verb, verbs));
  const grouped = groupsOf(verbs).map(([group, members]) => groupOf(group, members, verbs));
  return `#compdef stasis
_stasis_ids() {
  local -a ids
  ids=(\${(f)"$(stasis complete-ids $1 2>/dev/null)"})
  compadd -a ids
}
_stasis() {
  local context state line
  local -a verbs
  verbs=(
${described(topOf(verbs))}
  )
  _arguments -C \\
${flags.map((flag) => `    ${specOf(flag, verbs)} \\`).join("\n")}
    '1: :->verb' '*:: :->rest'
  case $state in
    verb) _describe command verbs ;;
    rest)
      case $words[1] in
${[...alone, ...grouped].join("\n")}
      esac ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _stasis "$@"; else compdef _stasis stasis; fi
`;
}

function described(all: readonly Group[]): string {
  return all.map(({ name, summary }) => `    ${quote(`${name}:${summary}`)}`).join("\n");
}

/** The commands of a group, one level further in. */
function groupOf({ name }: Group, members: readonly Verb[], verbs: readonly Verb[]): string {
  return `        ${name})
  verbs=(
${described(members)}
  )
  _arguments -C '1: :->inner' '*:: :->innermost'
  case $state in
    inner) _describe command verbs ;;
    innermost)
      case $words[1] in
${members.map((member) => caseOf(member, verbs)).join("\n")}
      esac ;;
  esac ;;`;
}

function caseOf(verb: Verb, verbs: readonly Verb[]): string {
  const flags = verb.flags.map((flag) => specOf(flag, verbs));
  const parameters = verb.parameters.map((_, index) => parameterOf(verb.parameters, index, verbs));
  return `        ${verb.name}) _arguments -S ${[...flags, ...parameters].join(" ")} ;;`;
}

function specOf({ short, long, value, description, completion }: Flag, verbs: readonly Verb[]): string {
  const text = `[${description.replace(/[[\]:]/g, "\\$&")}]`;
  const argument = value === undefined
    ? ""
    : `:${value.replaceAll(":", "\\:")}:${actionFor(completion, verbs)}`;
  if (short === undefined) return quote(`${long}${text}${argument}`);
  return `{${short},${long}}${quote(`${text}${argument}`)}`;
}

/** The last argument may be given more than once; a command has completions of its own. */
function parameterOf(all: readonly Parameter[], index: number, verbs: readonly Verb[]): string {
  const { name = "", completion = "none" } = all[index] ?? {};
  const position = index === all.length - 1 ? "*" : String(index + 1);
  if (completion === "command") return quote(`${position}:::command:_normal`);
  return quote(`${position}:${name}:${actionFor(completion, verbs)}`);
}

function actionFor(words: Words, verbs: readonly Verb[]): string {
  if (words === "folder") return "_files -/";
  if (words === "file") return "_files";
  if (areIds(words)) return `{_stasis_ids ${words}}`;
  const fixed = fixedWords(words, verbs);
  return fixed === "" ? " " : `(${fixed})`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
