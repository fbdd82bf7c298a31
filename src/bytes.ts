import { StasisError } from "../ffi/error.ts";

const UNITS = ["", "K", "M", "G", "T"];

/** A size as a person writes it: `512M`, `4G`, `1.5GiB`, a number of bytes. Units are powers of 1024. */
export function parseBytes(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** UNITS.indexOf(unit.toUpperCase()));
  if (number !== "" && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw StasisError.of("usage", `Could not understand the size "${text}"`, {
    hint: "Write a number with K, M, G or T, such as 512M",
  });
}
