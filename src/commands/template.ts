import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Open } from "../session.ts";
import { verb } from "../verb.ts";
import { templateCheck } from "./template/check.ts";
import { templateCreate } from "./template/create.ts";
import { templateLoad } from "./template/load.ts";
import { templateExport } from "./template/export.ts";
import { templateImport } from "./template/import.ts";
import { templateLs } from "./template/ls.ts";
import { templateRm } from "./template/rm.ts";
import { templateShow } from "./template/show.ts";
import { templateUnload } from "./template/unload.ts";

/** `stasis template`: snapshots that clones are made from. */
export function template(open: Open): CommandUnknownOpts {
  const group = verb("template", "Make templates of snapshots, look at them and remove them").helpCommand(
    false,
  );
  const commands = [
    templateCreate,
    templateLs,
    templateShow,
    templateCheck,
    templateExport,
    templateImport,
    templateLoad,
    templateUnload,
    templateRm,
  ];
  for (const make of commands) {
    group.addCommand(make(open));
  }
  return group;
}
