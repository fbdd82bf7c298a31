/**
 * An application owns its ids for life: System V objects of all kinds, put away and brought back twice over while others
 * have the ids and keys that the system gave them, in each mode and for programs of each kind.
 */

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MODES, tellsIds } from "./ids/modes.ts";
import { Holder, programsFor } from "./ids/programs.ts";
import { IpcHost, type SystemObject, TYPES } from "./stage/ipc_host.ts";

/** Has others take the ids: those that the application sees, and those that the system gave it. */
async function takeAway(host: IpcHost, ...objects: readonly SystemObject[]): Promise<void> {
  for (const object of objects) {
    const { id } = await host.take(object);
    ok(id >= 0, `somebody else has ${object.kind} ${object.id} or another`);
  }
}

/** What stands on the host for an application, as `stasis ids` tells; the same ids where it has a namespace. */
async function systemObjects(host: IpcHost, holder: Holder): Promise<SystemObject[]> {
  if (!tellsIds) return [...holder.objects];
  const rows: { type: string; virtual: number; system: number }[] = JSON.parse(
    await host.stage.stasis("ids", "holder", "--json"),
  );
  return holder.objects.map((object) => {
    const row = rows.find(({ type, virtual }) => type === TYPES[object.kind] && virtual === object.id);
    ok(row !== undefined, `stasis ids lists ${object.kind} ${object.id}`);
    return { ...object, id: row.system };
  });
}

for (const mode of MODES) {
  for (const program of programsFor(mode)) {
    Deno.test(`${program.name} finds its ids when others have them (${mode.name})`, async () => {
      await using host = await IpcHost.open();
      const { stage } = host;
      const holder = await Holder.start(host, mode, program);
      const system = await systemObjects(host, holder);
      await stage.stasis("snapshot", "holder", "--stop");
      await host.comesBackTo(await host.strangers());
      await takeAway(host, ...system, ...holder.objects);
      const before = await host.objects();
      for (const name of ["first", "second"]) {
        await stage.stasis("restore", "holder@latest", "-d", "--name", name);
      }
      strictEqual((await host.objects()).length > before.length, mode.onHost);
      const verdicts = await Promise.all([holder.verdict("first"), holder.verdict("second")]);
      deepStrictEqual(verdicts, ["pass", "pass"]);
      await host.comesBackTo(before);
    });
  }

  Deno.test(`no object is left of an application that is stopped (${mode.name})`, async () => {
    await using host = await IpcHost.open();
    const [program] = programsFor(mode);
    ok(program !== undefined);
    await Holder.start(host, mode, program);
    await host.stage.stasis("stop", "holder");
    await host.comesBackTo(await host.strangers());
  });
}
