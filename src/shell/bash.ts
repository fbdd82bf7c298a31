import { areIds, fixedWords, type Flag, groupsOf, topOf, type Verb, wholeName, type Words } from "./tree.ts";

/**
 * Completions for bash, without the bash-completion package. bash splits words at `@` and `=`, so the whole word
 * is taken from the line, and what stands before the last `@` is cut off the candidates again.
 */
export function bashCompletions(verbs: readonly Verb[], flags: readonly Flag[]): string {
  const groups = groupsOf(verbs);
  const inner = groups.map(([{ name }, members]) =>
    `    ${name}) candidates="${members.map((member) => member.name).join(" ")}" ;;`
  );
  const cases = [...inner, ...verbs.map((verb) => caseOf(verb, verbs))].join("\n");
  return `# bash completion for stasis: source <(stasis completions bash)
_stasis() {
  local line=\${COMP_LINE:0:COMP_POINT} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local word=\${line##*[[:space:]]} verb= index candidates=
  for ((index = 1; index < COMP_CWORD; index++)); do
    case \${COMP_WORDS[index]} in
      -*) ;;
      *)
        verb+=\${verb:+ }\${COMP_WORDS[index]}
        case $verb in ${groups.map(([{ name }]) => name).join("|")}) ;; *) break ;; esac ;;
    esac
  done
  COMPREPLY=()
  case $verb in
    "") candidates="${[...topOf(verbs).map(({ name }) => name), ...wordsOf(flags)].join(" ")}" ;;
${cases}
  esac
  [[ -n $candidates ]] && mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
  [[ $word == *@* ]] && COMPREPLY=("\${COMPREPLY[@]#"\${word%@*}@"}")
}
complete -F _stasis stasis
`;
}

function caseOf(verb: Verb, verbs: readonly Verb[]): string {
  const { flags, parameters } = verb;
  const valued = flags.filter((flag) => flag.value !== undefined);
  const values = valued.map((flag) =>
    `        ${spellings(flag).join("|")}) ${actionFor(flag.completion, verbs)} ;;`
  );
  const [first] = parameters;
  const operand = first === undefined ? "" : ` ${substitution(first.completion, verbs)}`;
  const inner = parameters.some((parameter) => parameter.completion === "command")
    ? [`        --) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;`]
    : [];
  return [
    `    "${wholeName(verb)}")`,
    "      case $previous in",
    ...values,
    ...inner,
    `        *) candidates="${wordsOf(flags).join(" ")}${operand.trimEnd()}" ;;`,
    "      esac ;;",
  ].join("\n");
}

function actionFor(words: Words, verbs: readonly Verb[]): string {
  if (words === "folder") return `mapfile -t COMPREPLY < <(compgen -d -- "$word")`;
  if (words === "file") return `mapfile -t COMPREPLY < <(compgen -f -- "$word")`;
  const candidates = substitution(words, verbs);
  return candidates === "" ? "" : `candidates="${candidates}"`;
}

function substitution(words: Words, verbs: readonly Verb[]): string {
  return areIds(words) ? `$(stasis complete-ids ${words} 2>/dev/null)` : fixedWords(words, verbs);
}

function wordsOf(flags: readonly Flag[]): string[] {
  return flags.flatMap(spellings);
}

function spellings({ short, long }: Flag): string[] {
  return short === undefined ? [long] : [short, long];
}
