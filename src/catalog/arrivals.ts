import type { Home } from "../../ffi/messages.ts";
import { startOf } from "../process.ts";
import { isFolder, makePrivateFolder } from "./home.ts";

/** A folder of this command's own for what comes from elsewhere; it goes when this is disposed of. */
export class Arrivals implements Disposable {
  private constructor(readonly folder: string) {}

  static open(home: Home): Arrivals {
    const all = `${home.data}/arriving`;
    makePrivateFolder(all);
    sweep(all);
    const folder = `${all}/${Deno.pid}`;
    Deno.mkdirSync(folder, { mode: 0o700 });
    return new Arrivals(folder);
  }

  [Symbol.dispose](): void {
    if (isFolder(this.folder)) Deno.removeSync(this.folder, { recursive: true });
  }
}

/** What commands left that were killed: each has its process id for a name. */
function sweep(all: string): void {
  for (const { name } of Deno.readDirSync(all)) {
    const alive = Number(name) !== Deno.pid && startOf(Number(name)) !== undefined;
    if (!alive) Deno.removeSync(`${all}/${name}`, { recursive: true });
  }
}
