/** Texts of a picture: how wide they are, what is left out of long ones, and how they stand in XML. */

import stringWidth from "fast-string-width";
import { printable } from "./format.ts";

/** A line of text and how it is written. */
export interface Line {
  text: string;
  /** In pixels. */
  size: number;
  bold?: boolean;
  soft?: boolean;
}

/** Pixels, on the safe side: which font is there is known only to whoever looks at the picture. */
export function widthOf({ text, size, bold }: Line): number {
  return stringWidth(text) * size * (bold === true ? 0.71 : 0.65);
}

/** As much of a line as there is room for. */
export function fit(line: Line, width: number): Line {
  if (widthOf(line) <= width) return line;
  const chars = Array.from(line.text);
  while (chars.length > 0 && widthOf({ ...line, text: `${chars.join("")}…` }) > width) chars.pop();
  return { ...line, text: `${chars.join("")}…` };
}

/** Text from anywhere as XML has it, in elements and attributes. What XML has no way to say is shown by its number. */
export function escapeXml(text: string): string {
  return printable(text.toWellFormed()).replace(/[&<>"'\ufffe\uffff]/g, (char) => ENTITIES[char] ?? "\ufffd");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
