import { Option } from "@commander-js/extra-typings";
import type { Network } from "../ffi/messages.ts";

/** The names of networks on the command line. */
const NAMES = ["host", "none"] as const;

export type NetworkName = (typeof NAMES)[number];

/** `--network`, of every command that makes an application live; `otherwise` says what holds without it. */
export function networkOption(
  otherwise: string,
): Option<"--network <WHICH>", undefined, undefined, undefined, false, NetworkName> {
  return new Option(
    "--network <WHICH>",
    `the host's network, or none: a namespace of its own with loopback only (default: ${otherwise})`,
  ).choices(NAMES);
}

/** The part of a request that says which network an application is on. */
export function networkOf(name: NetworkName | undefined): { network?: Network } {
  switch (name) {
    case undefined:
      return {};
    case "host":
      return { network: "host" };
    case "none":
      return { network: { own: {} } };
  }
}
