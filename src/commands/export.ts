import { basename } from "node:path";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { writeArchive } from "../archive/files.ts";
import { titleOf } from "../archive/title.ts";
import type { Open } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis export`: a snapshot as one file, for another host. */
export function exportSnapshot(open: Open): CommandUnknownOpts {
  return verb("export", "Put a snapshot into one file, for another host")
    .usage("[options] (SNAPSHOT | DIR) FILE")
    .argument("<snapshot>", "an id, the beginning of one, APP@latest, APP@2, or a folder")
    .argument("<file>", "a tar archive that is not there yet; - for standard output")
    .action(async (given, file, _options, command) => {
      const session = open(outputOptions(command));
      const dir = await session.snapshotFolder(given);
      const { label } = await session.perform("inspect", { dir });
      await session.perform("verify", { dir });
      const id = label?.id ?? basename(dir);
      await writeArchive(session, file, async (writer) => {
        await writer.title(titleOf({ id }));
        await writer.tree(dir, "image");
        await writer.seal();
      });
      if (session.output.json && file !== "-") session.output.object({ exported: "snapshot", id, file });
      session.output.talk(`Put the snapshot ${id} into ${file === "-" ? "standard output" : file}`);
    });
}
