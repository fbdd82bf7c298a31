import type { TemplateCard } from "../catalog/templates.ts";
import { damaged } from "./header.ts";
import { StasisError } from "../../ffi/error.ts";

/** The first entry of an archive, and the last. */
export const TITLE = "stasis.json";
export const END = "stasis.end";

const FORMAT = 1;

/** What an archive holds. */
export type Title =
  | { format: typeof FORMAT; kind: "template"; card: TemplateCard }
  | { format: typeof FORMAT; kind: "snapshot"; id: string };

export function titleOf(contents: { card: TemplateCard } | { id: string }): Title {
  return "card" in contents
    ? { format: FORMAT, kind: "template", card: contents.card }
    : { format: FORMAT, kind: "snapshot", id: contents.id };
}

/** Reads a title as far as it can be told without the rest: the card is still to be looked at. */
export function parseTitle(
  text: string,
): { kind: "template"; card: unknown } | { kind: "snapshot"; id: string } {
  const title = parseObject(text);
  if (typeof title.format === "number" && title.format > FORMAT) {
    throw StasisError.of("image_too_new", "Could not read the archive", {
      causes: [`it is of format ${title.format}, and this stasis knows ${FORMAT}`],
    });
  }
  if (title.format === FORMAT && title.kind === "template") return { kind: "template", card: title.card };
  if (title.format === FORMAT && title.kind === "snapshot" && typeof title.id === "string") {
    return { kind: "snapshot", id: title.id };
  }
  throw damaged(`${TITLE} does not say what it holds`);
}

function parseObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ...value };
  } catch {
    // Said below.
  }
  throw damaged(`${TITLE} is malformed`);
}
