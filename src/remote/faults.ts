/** Faults as they come from another host, which may be of any kind. */

import { type Code, EXIT_CODES, type Fault } from "../../ffi/error.ts";

const MOST_TEXT = 2000;
const MOST_CAUSES = 16;

/** What another host says went wrong. */
export function faultIn(value: unknown): Fault {
  const { code, message, hint, aftermath, causes } =
    (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof Fault, unknown>>;
  const known: Code = typeof code === "string" && isCode(code) ? code : "other";
  return {
    code: known,
    exit: EXIT_CODES[known],
    message: text(message) ?? "it failed and did not say why",
    ...optional("hint", text(hint)),
    ...optional("aftermath", text(aftermath)),
    ...(Array.isArray(causes) && {
      causes: causes.slice(0, MOST_CAUSES).flatMap((cause) => text(cause) ?? []),
    }),
  };
}

function isCode(text: string): text is Code {
  return Object.hasOwn(EXIT_CODES, text);
}

/** Whoever shows it takes out what could write over a terminal. */
function text(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, MOST_TEXT) : undefined;
}

function optional<Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> {
  return (value === undefined ? {} : { [key]: value }) as Partial<Record<Key, string>>;
}
