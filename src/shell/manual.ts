import { EXIT_CODES } from "../../ffi/error.ts";
import { type Flag, type Verb, wholeName } from "./tree.ts";

const MEANINGS: Readonly<Record<keyof typeof EXIT_CODES, string>> = {
  other: "an error that no other code names",
  usage: "the command line is wrong",
  no_target: "there is no such application, process, snapshot or template",
  refused: "a resource of the application is refused, by name",
  host_lacks: "the host lacks a feature",
  not_permitted: "the caller may not do this",
  image_damaged: "the image is truncated or altered",
  image_too_new: "the image is of a newer format",
  restore_failed: "a restore failed and nothing is left behind",
  restore_left: "a restore failed and something is left behind",
  internal: "a fault of stasis itself",
  interrupted: "interrupted by a signal",
};

/** The manual page, for `man -l -`: roff with the macros of man(7). */
export function manualPage(verbs: readonly Verb[], flags: readonly Flag[], version: string): string {
  const lines = [
    `.TH STASIS 1 "" "stasis ${roff(version)}" "User Commands"`,
    ".SH NAME",
    "stasis \\- run applications, take snapshots of them and bring them back",
    ".SH SYNOPSIS",
    ".B stasis",
    ".I COMMAND",
    "[\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]",
    ".SH DESCRIPTION",
    ...DESCRIPTION,
    ".SH COMMANDS",
    ...verbs.flatMap((verb) => section(verb, flags)),
    ".SH COMMON OPTIONS",
    ...flags.flatMap(option),
    ".SH EXIT STATUS",
    ...row("0", "done"),
    ...Object.entries(EXIT_CODES).flatMap(([code, exit]) =>
      row(String(exit), `${MEANINGS[code as keyof typeof EXIT_CODES]} (${code})`)
    ),
    ".PP",
    "An attached \\fBrun\\fR, \\fBrestore\\fR or \\fBexec\\fR ends with the exit code of its command,",
    "or with 128 and the number of the signal that ended it.",
    ".SH ENVIRONMENT",
    ...row("STASIS_HOME", "keep all state under this folder"),
    ...row("XDG_DATA_HOME, XDG_RUNTIME_DIR", "where the state of users other than root lies"),
    ...row("NO_COLOR", "no colours, when it is not empty"),
    ".SH FILES",
    ...row("/var/lib/stasis, /run/stasis", "applications and snapshots of root"),
    ...row("$XDG_DATA_HOME/stasis, $XDG_RUNTIME_DIR/stasis", "the same for other users"),
  ];
  return `${lines.join("\n")}\n`;
}

const DESCRIPTION = [
  "stasis puts a running Linux application into a snapshot image and brings it back, on the same host or",
  "another one. It needs no kernel module, no daemon and no change to the application.",
  ".PP",
  "\\fIAPP\\fR is the name or the AID of an application, or the beginning of an AID. \\fISNAPSHOT\\fR is an id,",
  "the beginning of one, \\fIAPP\\fR@latest, \\fIAPP\\fR@2 (the second newest), or a folder, written with a slash.",
];

/** What every command takes is said once, in a section of its own. */
function section(verb: Verb, common: readonly Flag[]): string[] {
  const { usage, summary, flags } = verb;
  const own = flags.filter((flag) => !common.some((other) => other.long === flag.long));
  return [
    `.SS ${roff(wholeName(verb))}`,
    `\\fB${roff(usage)}\\fR`,
    ".PP",
    roff(`${summary}.`),
    ...own.flatMap(option),
  ];
}

function option({ short, long, value, description }: Flag): string[] {
  const names = [short, long].filter((name) => name !== undefined).map((name) => `\\fB${roff(name)}\\fR`);
  const placeholder = value === undefined ? "" : ` \\fI${roff(value)}\\fR`;
  return [".TP", names.join(", ") + placeholder, roff(description)];
}

function row(title: string, text: string): string[] {
  return [".TP", `\\fB${roff(title)}\\fR`, roff(text)];
}

/** Text that roff shows as it is: escapes and hyphens, and no line that begins with a request. */
function roff(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^(?=[.'])/gm, "\\&");
}
