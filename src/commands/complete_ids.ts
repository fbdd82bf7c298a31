import { Argument, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { listTemplates } from "../catalog/templates.ts";
import type { Open, Session } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";
import { listEnvironments } from "../vne/environments.ts";

/** `stasis complete-ids`: what a shell offers for an argument; completions call it, people do not. */
export function completeIds(open: Open): CommandUnknownOpts {
  return verb("complete-ids", "Print the words that complete an argument")
    .addArgument(
      new Argument("<kind>", "of which kind").choices(
        ["app", "snapshot", "target", "template", "environment"] as const,
      ),
    )
    .action(async (kind, _options, command) => {
      const session = open(outputOptions(command));
      if (kind === "template") {
        return session.output.lines(listTemplates(session.home, () => {}).map((one) => one.name));
      }
      if (kind === "environment") {
        return session.output.lines(listEnvironments(session.home).map((one) => one.name));
      }
      const words = [
        ...(kind === "snapshot" ? [] : await applicationWords(session)),
        ...(kind === "app" ? [] : await snapshotWords(session)),
      ];
      session.output.lines([...new Set(words)]);
    });
}

async function applicationWords(session: Session): Promise<string[]> {
  return (await session.applications()).flatMap((one) => [one.name, one.aid]);
}

async function snapshotWords(session: Session): Promise<string[]> {
  return (await session.snapshots()).flatMap(({ id, name }) =>
    name === undefined ? [id] : [id, `${name}@latest`]
  );
}
