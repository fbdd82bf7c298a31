/** Options that several commands about the hosts of an environment take. */

import { Option } from "@commander-js/extra-typings";

type Text<Flags extends string> = Option<Flags, undefined, undefined, undefined, false, undefined>;

/** `--self`: what this host is called. */
export function selfOption(): Text<"--self <NAME[=ADDRESS]>"> {
  return new Option(
    "--self <NAME[=ADDRESS]>",
    "how the other hosts reach this one (default: its host name, and the address from which it reaches them)",
  );
}

/** `--directory`: where hosts and their addresses are written down. */
export function directoryOption(): Text<"--directory <URLS>"> {
  return new Option(
    "--directory <URLS>",
    "let etcd at URLS, such as http://HOST:2379,..., say which hosts there are (default: they tell each other)",
  );
}

/** `--rsh`: what leads to other hosts. */
export function rshOption(): Text<"--rsh <CMD>"> {
  return new Option("--rsh <CMD>", "reach other hosts by CMD (default: STASIS_RSH, or ssh)");
}

/** `--remote`: where stasis lies on other hosts. */
export function remoteOption(): Text<"--remote <PATH>"> {
  return new Option("--remote <PATH>", "the path of stasis on other hosts (default: stasis on their PATH)");
}
