/** The secret from which hosts derive the keys of their traffic. */

import { createHmac } from "node:crypto";
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Session } from "../session.ts";

/** In bytes. */
const LENGTH = 32;

/** The secret of a new environment, in hexadecimal digits; undefined where nothing is to be encrypted. */
export function secretFor(
  session: Session,
  { encrypt, secret }: { encrypt?: boolean | undefined; secret?: string | undefined },
): string | undefined {
  if (secret !== undefined && encrypt !== true) {
    throw StasisError.of("usage", "Could not use a secret for traffic that is not encrypted", {
      hint: "Add --encrypt",
    });
  }
  if (encrypt !== true) return undefined;
  const random = crypto.getRandomValues(new Uint8Array(LENGTH));
  return secret === undefined ? random.toHex() : mixed(readSecret(session, secret), random);
}

/** Keys must not come back where an environment is made again with the same file: their packets are numbered from 1 again. */
function mixed(secret: string, random: Uint8Array): string {
  return createHmac("sha256", Uint8Array.fromHex(secret)).update(random).digest("hex");
}

function readSecret(session: Session, path: string): string {
  const text = readText(session.absolute(path), path).trim().toLowerCase();
  if (/^[0-9a-f]+$/.test(text) && text.length === 2 * LENGTH) return text;
  throw StasisError.of("usage", `Could not use the secret in "${path}"`, {
    causes: [`a secret has ${2 * LENGTH} hexadecimal digits`],
    hint: `Make one: head -c ${LENGTH} /dev/urandom | od -An -tx1 | tr -d ' \\n' > ${path}`,
  });
}

function readText(path: string, given: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw StasisError.of("usage", `Could not read the secret in "${given}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}

/** The N of `--mtu N`. */
export function parseMtu(text: string): number {
  const bytes = /^\d{3,5}$/.test(text) ? Number(text) : 0;
  if (bytes >= 576 && bytes <= 65_535) return bytes;
  throw new InvalidArgumentError("It must be a number of bytes from 576 to 65535.");
}
