import { signalNames } from "../signals.ts";
import type { Flag, Parameter, Verb, Words } from "./tree.ts";

/** Completions for zsh: a file `_stasis` in a folder of `$fpath`, or sourced after `compinit`. */
export function zshCompletions(verbs: readonly Verb[], flags: readonly Flag[]): string {
  const names = verbs.map((verb) => `    ${quote(`${verb.name}:${verb.summary}`)}`).join("\n");
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
${names}
  )
  _arguments -C \\
${flags.map((flag) => `    ${specOf(flag)} \\`).join("\n")}
    '1: :->verb' '*:: :->rest'
  case $state in
    verb) _describe command verbs ;;
    rest)
      case $words[1] in
${verbs.map(caseOf).join("\n")}
      esac ;;
  esac
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _stasis "$@"; else compdef _stasis stasis; fi
`;
}

function caseOf(verb: Verb): string {
  const specs = [...verb.flags.map(specOf), ...verb.parameters.map(parameterOf)];
  return `        ${verb.name}) _arguments ${specs.join(" ")} ;;`;
}

function specOf({ short, long, value, description, completion }: Flag): string {
  const text = `[${description.replace(/[[\]:]/g, "\\$&")}]`;
  const argument = value === undefined ? "" : `:${value}:${actionFor(completion)}`;
  if (short === undefined) return quote(`${long}${text}${argument}`);
  return `{${short},${long}}${quote(`${text}${argument}`)}`;
}

function parameterOf({ name, completion }: Parameter, index: number, all: Parameter[]): string {
  const position = index === all.length - 1 ? "*" : String(index + 1);
  if (completion === "command") return quote(`${position}:::_normal`);
  return quote(`${position}:${name}:${actionFor(completion)}`);
}

function actionFor(words: Words): string {
  if (words === "folder") return "_files -/";
  if (words === "signal") return `(${signalNames().join(" ")})`;
  if (words === "shell") return "(bash zsh fish)";
  if (words === "app" || words === "snapshot" || words === "target") return `{_stasis_ids ${words}}`;
  return " ";
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
