import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { StasisError } from "../../ffi/error.ts";
import { readArchive } from "../archive/files.ts";
import { SNAPSHOT } from "../archive/layouts.ts";
import type { ArchiveReader } from "../archive/reader.ts";
import { parseTitle } from "../archive/title.ts";
import { unpack } from "../archive/unpack.ts";
import { Arrivals } from "../catalog/arrivals.ts";
import { isFolder, makePrivateFolder, storeOf } from "../catalog/home.ts";
import { isId, newId } from "../catalog/names.ts";
import { syncFolder } from "../catalog/tree.ts";
import type { Open, Session } from "../session.ts";
import { outputOptions, verb } from "../verb.ts";

/** `stasis import`: a snapshot from a file that `export` made. */
export function importSnapshot(open: Open): CommandUnknownOpts {
  return verb("import", "Take a snapshot into the store that was put into a file")
    .argument("<file>", "an archive of stasis export; - for standard input")
    .action(async (file, _options, command) => {
      const session = open(outputOptions(command));
      const { output } = session;
      const id = await readArchive(session, file, async (reader) => {
        return await takeIn(session, reader, idIn(await reader.title()));
      });
      if (output.json) output.object({ imported: "snapshot", id });
      else output.line(id);
      output.talk(`The store has the snapshot ${id} now`);
    });
}

function idIn(text: string): string {
  const title = parseTitle(text);
  if (title.kind === "snapshot") return title.id;
  throw StasisError.of("usage", "Could not import a snapshot", {
    causes: ["the archive holds a template"],
    hint: "Write stasis template import FILE",
  });
}

/** The snapshot is in the store once it was checked, under its own id or, where that is taken, a new one. */
async function takeIn(session: Session, reader: ArchiveReader, wanted: string): Promise<string> {
  const store = storeOf(session.home);
  makePrivateFolder(store);
  using arrivals = Arrivals.open(session.home);
  const partial = arrivals.folder;
  await unpack(reader, partial, SNAPSHOT);
  await session.perform("inspect", { dir: `${partial}/image` });
  await session.perform("adopt_volumes", { dir: `${partial}/image` });
  await session.perform("verify", { dir: `${partial}/image` });
  const id = isId(wanted) && !isFolder(`${store}/${wanted}`) ? wanted : newId();
  Deno.renameSync(`${partial}/image`, `${store}/${id}`);
  syncFolder(store);
  return id;
}
