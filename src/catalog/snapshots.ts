import { StasisError } from "../../ffi/error.ts";
import type { Label, Listed } from "../../ffi/messages.ts";
import { chainOf, type ChainRecord } from "../chains/records.ts";

/** A snapshot of the store, as its label and its image describe it. */
export interface Snapshot {
  id: string;
  dir: string;
  /** Absent for a process tree that stasis did not start. */
  name?: string;
  aid?: string;
  tags: string[];
  /** ISO 8601; empty when the label does not say. */
  created: string;
  bytes: number;
  processes: number;
  /** Why the image cannot be used. */
  damaged?: string;
  /** The chain that it is a part of. */
  chain?: string;
}

/** What a user may mean by a snapshot: a folder, or something that the store is asked for. */
export type Reference = { folder: string } | { application: string; nth: number } | { id: string };

/** Reads `ID`, `APP@latest`, `APP@2` or a folder. A text with a slash, or `.` and `..`, is a folder. */
export function parseReference(given: string): Reference {
  if (given.includes("/") || given === "." || given === "..") return { folder: given };
  const at = given.lastIndexOf("@");
  if (at < 0) return { id: given };
  const application = given.slice(0, at);
  const which = given.slice(at + 1);
  if (application !== "" && which === "latest") return { application, nth: 1 };
  if (application !== "" && /^[1-9]\d{0,8}$/.test(which)) return { application, nth: Number(which) };
  throw StasisError.of("usage", `Could not understand the snapshot "${given}"`, {
    hint: "Write APP@latest for the newest snapshot of an application, APP@2 for the one before",
  });
}

/** The snapshots of the store, newest first. What cannot be read is kept, under the name of its folder. */
export function catalogue(listed: readonly Listed[], chains: readonly ChainRecord[] = []): Snapshot[] {
  const snapshots = listed.map(fromListed).map((one) => {
    const chain = chainOf(chains, one.id);
    return chain === undefined ? one : { ...one, chain: chain.id };
  });
  return snapshots.sort((one, other) => other.created.localeCompare(one.created));
}

/** The snapshot that `reference` means within the store. */
export function pick(
  snapshots: readonly Snapshot[],
  reference: Exclude<Reference, { folder: string }>,
): Snapshot {
  return "id" in reference ? pickById(snapshots, reference.id) : pickByAge(snapshots, reference);
}

function fromListed(listed: Listed): Snapshot {
  const folder = listed.dir.slice(listed.dir.lastIndexOf("/") + 1);
  if ("damaged" in listed) {
    return {
      id: folder,
      dir: listed.dir,
      tags: [],
      created: "",
      bytes: 0,
      processes: 0,
      damaged: listed.damaged,
    };
  }
  const label: Partial<Label> = listed.label ?? {};
  return {
    // The folder's name and not the label's id: a folder that was copied into the store is a snapshot of its own.
    id: folder,
    dir: listed.dir,
    ...(label.name !== undefined && { name: label.name }),
    ...(label.aid !== undefined && { aid: label.aid }),
    tags: label.tags ?? [],
    created: label.created ?? listed.created ?? "",
    bytes: listed.bytes,
    processes: listed.processes,
  };
}

function pickById(snapshots: readonly Snapshot[], given: string): Snapshot {
  const exact = snapshots.find((one) => one.id === given);
  if (exact !== undefined) return exact;
  const begun = given === "" ? [] : snapshots.filter((one) => one.id.startsWith(given));
  if (begun.length > 1) {
    throw StasisError.of("usage", `Could not tell which snapshot "${given}" is`, {
      causes: [`it may be any of ${begun.map((one) => one.id).join(", ")}`],
      hint: "Give more digits",
    });
  }
  const [only] = begun;
  if (only !== undefined) return only;
  throw StasisError.of("no_target", `Could not find a snapshot "${given}"`, {
    hint: hintFor(snapshots, given),
  });
}

function hintFor(snapshots: readonly Snapshot[], given: string): string {
  const ofApplication = snapshots.some((one) => one.name === given || one.aid === given);
  if (ofApplication) return `For the newest snapshot of the application "${given}" write ${given}@latest`;
  return '"stasis snapshots" lists what the store holds; a folder is written with a slash, as in ./FOLDER';
}

function pickByAge(
  snapshots: readonly Snapshot[],
  { application, nth }: { application: string; nth: number },
): Snapshot {
  const sound = snapshots.filter((one) => one.damaged === undefined);
  const own = sound.filter((one) => one.name === application || one.aid === application);
  const found = own[nth - 1];
  if (found !== undefined) return found;
  if (own.length === 0) {
    throw StasisError.of("no_target", `Could not find a snapshot of an application "${application}"`, {
      hint: '"stasis snapshots" lists what the store holds',
    });
  }
  throw StasisError.of("no_target", `Could not find snapshot ${nth} of the application "${application}"`, {
    causes: [`the store holds ${own.length} of it`],
  });
}
