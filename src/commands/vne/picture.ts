import { StasisError } from "../../../ffi/error.ts";
import type { Session } from "../../session.ts";
import { drawPicture } from "../../ui/picture.ts";
import { readSpan } from "../../vne/span.ts";
import type { Seen } from "../../vne/looking.ts";
import { membersElsewhere } from "../../vne/names.ts";
import { portrait } from "../../vne/portrait.ts";

/** What stands for standard output. */
const STREAM = "-";

/** Draws environments into a file, in the place of what was there, or to standard output. */
export function draw(session: Session, seen: readonly Seen[], file: string): void {
  const { output, home } = session;
  const sitters = seen.map((one) => ({
    ...one,
    encrypted: readSpan(home, one.name)?.secret !== undefined,
    known: membersElsewhere(home, one),
  }));
  const text = drawPicture(portrait(sitters, Deno.hostname()));
  if (file === STREAM) return output.stdout.write(text);
  write(file, session.absolute(file), text);
  if (output.json) output.object({ picture: file, environments: seen.map(({ name }) => name) });
  output.talk(`Drew ${seen.map(({ name }) => `"${name}"`).join(", ") || "no environments"} into ${file}`);
}

function write(given: string, path: string, text: string): void {
  try {
    Deno.writeTextFileSync(path, text);
  } catch (error) {
    throw StasisError.of("other", `Could not write the picture "${given}"`, {
      causes: [error instanceof Error ? error.message : String(error)],
    });
  }
}
