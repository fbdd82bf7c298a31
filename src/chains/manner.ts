/** What the command line says about how a chain is taken. */

import { Option } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import type { Tcp } from "../../ffi/messages.ts";
import type { Manner } from "./taking.ts";

const DEFAULT_SECONDS = 10;
const MOST_SECONDS = 3600;

/** `--patience`, of every command that takes a chain. */
export function patienceOption(): Option<
  "--patience <SECONDS>",
  undefined,
  undefined,
  number,
  false,
  undefined
> {
  return new Option(
    "--patience <SECONDS>",
    `how long several may wait for each other, standing still (default: ${DEFAULT_SECONDS})`,
  ).argParser(parseSeconds);
}

interface Chosen {
  stop?: boolean | undefined;
  tag?: string[] | undefined;
  tcp?: Tcp | undefined;
  patience?: number | undefined;
}

export function mannerOf({ stop, tag, tcp, patience }: Chosen): Manner {
  return {
    stop: stop === true,
    tags: tag ?? [],
    patience: Math.round((patience ?? DEFAULT_SECONDS) * 1000),
    ...(tcp !== undefined && { tcp }),
  };
}

function parseSeconds(text: string): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds;
  throw StasisError.of("usage", `Could not understand the time "${text}"`, {
    hint: `Write seconds, from 0.001 to ${MOST_SECONDS}`,
  });
}
