import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { makePrivateFolder } from "../../catalog/home.ts";
import type { Open } from "../../session.ts";
import { outputOptions, verb } from "../../verb.ts";
import { listEnvironments } from "../../vne/environments.ts";
import { Lock } from "../../vne/files.ts";
import { environmentsOf, reservedRanges, reserveRanges } from "../../vne/ranges.ts";
import { formatSubnet, parseSubnet } from "../../vne/subnets.ts";

/** `stasis vne ranges`: the ranges that this host reserves for environments. */
export function vneRanges(open: Open): CommandUnknownOpts {
  return verb("ranges", "Show the ranges that are reserved for environments, or reserve others")
    .argument("[CIDR...]", "the ranges to reserve from now on, all of them")
    .action(async (given, _options, command) => {
      const { home, output } = open(outputOptions(command));
      if (given.length > 0) {
        makePrivateFolder(environmentsOf(home));
        using _lock = await Lock.on(`${environmentsOf(home)}/.lock`);
        const used = listEnvironments(home).flatMap(({ subnets }) => subnets.map(parseSubnet));
        reserveRanges(home, given.map(parseSubnet), used);
      }
      const ranges = reservedRanges(home).map(formatSubnet);
      if (output.json) output.object(ranges);
      else output.lines(ranges);
    });
}
