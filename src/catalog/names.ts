import { StasisError } from "../../ffi/error.ts";

const NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/;
const ID = /^[0-9a-f]{12}$/;
const LONGEST = 63;

/** A new random id: 12 lower-case hexadecimal digits. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

export function isId(text: string): boolean {
  return ID.test(text);
}

/** Refuses a name that no application can have. */
export function checkName(name: string): string {
  if (NAME.test(name)) return name;
  throw StasisError.of("usage", `Could not use "${name}" as a name`, {
    hint:
      'A name has up to 63 lower-case letters, digits, ".", "_" and "-", and begins with a letter or digit',
  });
}

/** The name that an application gets from its command: `/usr/bin/Foo Bar` becomes `foo-bar`. */
export function nameFor(command: string): string {
  const file = command.slice(command.lastIndexOf("/") + 1).toLowerCase();
  const name = file.replace(/[^a-z0-9_.-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, LONGEST);
  return name === "" ? "app" : name;
}

/** `wanted`, or with a number behind it when that name is taken: `web`, `web-2`, `web-3`. */
export function freeName(wanted: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wanted)) return wanted;
  for (let number = 2;; number++) {
    const suffix = `-${number}`;
    const name = wanted.slice(0, LONGEST - suffix.length) + suffix;
    if (!taken.has(name)) return name;
  }
}
