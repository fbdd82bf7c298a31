import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../../session.ts";
import { renderEnvironment } from "../../ui/vne.ts";
import { outputOptions, verb } from "../../verb.ts";
import { findEnvironment, listEnvironments } from "../../vne/environments.ts";
import { lookAt } from "../../vne/looking.ts";
import { draw } from "./picture.ts";

/** `stasis vne show`: who is in environments, and what went on there. */
export function vneShow(open: Open): CommandUnknownOpts {
  return verb("show", "Show environments: their hosts, members, links, and what their rules have stopped")
    .argument("[environment...]", "their names (default: all)")
    .option("--svg <FILE>", "draw them into FILE instead; - for standard output")
    .action(async (names, options, command) => {
      const session = open(outputOptions(command));
      const { output, home } = session;
      const cards = names.length === 0
        ? listEnvironments(home, (name) => output.talk(`Passing over what cannot be read: ${name}`))
        : [...new Set(names)].map((name) => findEnvironment(home, name));
      const seen = await Promise.all(cards.map((card) => lookAt(session, card)));
      if (options.svg !== undefined) return draw(session, seen, options.svg);
      if (output.json) return output.object(names.length === 1 ? seen[0] : seen);
      for (const [index, one] of seen.entries()) {
        if (index > 0) output.line("");
        output.lines(renderEnvironment(one, output.stdout.columns()));
      }
    });
}
