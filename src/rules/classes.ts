import type {
  CapturedVolume,
  Descriptor,
  IdRow,
  ImageProcess,
  Inspection,
  MappedFile,
} from "../../ffi/messages.ts";
import { count } from "../ui/format.ts";
import { customised, isLeftOut, isOwnFile } from "./customised.ts";
import { isWithin } from "./inside.ts";
import type { Rules } from "./rules.ts";

/** What a user can do about what only one clone at a time can have. */
const NONE = "--network none gives each a namespace of its own";

export type Treatment = "share" | "copy-on-write" | "virtualise" | "multiplex" | "customise";

/** One thing that an application has, and what a clone gets of it. */
export interface Resource {
  kind: string;
  name: string;
  /** Bytes, where it has a size. */
  bytes?: number;
  class: "shareable" | "non-shareable";
  treatment: Treatment;
  why: string;
}

/**
 * Splits a snapshot: what clones use as it is, and what each gets of its own, and how. This is what is known without being
 * told; the rules decide the rest.
 */
export function classify(inspection: Inspection, ids: readonly IdRow[], rules: Rules): Resource[] {
  const resources = [
    ...inspection.processes.flatMap((process) => programs(process, inspection, rules)),
    ...inspection.processes.map(memoryOf),
    ...sharedMemory(inspection),
    ...inspection.processes.flatMap((process) => openFiles(process, inspection, rules)),
    ...inspection.processes.flatMap((process) => kernelObjects(process, inspection, rules)),
    ...inspection.unix_names.map((name) => unixName(name, inspection)),
    ...ids.map((row) => idOf(row, rules)),
    ...(inspection.volumes ?? []).map(volumeOf),
    ...customised(rules),
    hostname(inspection, rules),
  ];
  return unique(resources);
}

/** Whether a rule gives a path of the application a new place: by its own name or that of a folder above it. */
export function isMoved(path: string, rules: Rules): boolean {
  return Object.keys(rules.paths).some((old) => isWithin(path, old));
}

/** Every file of the application that a rule can move: mapped ones and open ones. */
export function filesOf(inspection: Inspection): string[] {
  const paths = inspection.processes.flatMap((process) => [
    ...process.mapped.map((file) => file.path),
    ...process.descriptors.filter(isFile).map((descriptor) => pathOf(descriptor)),
  ]);
  return [...new Set(paths)];
}

function share(kind: string, name: string, why: string, bytes?: number): Resource {
  return { kind, name, ...(bytes !== undefined && { bytes }), class: "shareable", treatment: "share", why };
}

function own(kind: string, name: string, treatment: Treatment, why: string, bytes?: number): Resource {
  return { kind, name, ...(bytes !== undefined && { bytes }), class: "non-shareable", treatment, why };
}

function programs(process: ImageProcess, inspection: Inspection, rules: Rules): Resource[] {
  return process.mapped.map((file) => {
    if (file.path === process.exe) {
      return share("program", file.path, "its text is never written", file.bytes);
    }
    if (file.written) return writtenFile("mapped file", file.path, inspection, rules, file.bytes);
    const kind = file.executable ? "library" : "mapped file";
    return mappedFile(kind, file, rules);
  });
}

function mappedFile(kind: string, file: MappedFile, rules: Rules): Resource {
  if (isMoved(file.path, rules)) return moved(kind, file.path, file.bytes);
  return share(kind, file.path, "it is mapped so that no write reaches the file", file.bytes);
}

/** A file that every clone would write to. */
function writtenFile(kind: string, path: string, at: Inspection, rules: Rules, bytes?: number): Resource {
  if (at.own_shared_memory && isWithin(path, "/dev/shm")) {
    return own(kind, path, "copy-on-write", "each clone has a /dev/shm of its own, with what it held", bytes);
  }
  if (isMoved(path, rules)) return moved(kind, path, bytes);
  if (isOwnFile(path, rules)) {
    return own(kind, path, "customise", "the rules give each clone its own there", bytes);
  }
  if (isInVolume(path, at)) {
    return own(
      kind,
      path,
      "copy-on-write",
      "it is in a volume, of which each clone has a view of its own",
      bytes,
    );
  }
  if (path.startsWith("/dev/") || path.startsWith("/proc/")) {
    return share(kind, path, "it is the kernel's, and holds nothing of the application", bytes);
  }
  const why = "all clones write to this one file; a rule under [paths] gives each its own";
  return own(kind, path, "customise", why, bytes);
}

function moved(kind: string, path: string, bytes?: number): Resource {
  return own(kind, path, "customise", "the rules give each clone a path of its own", bytes);
}

function isInVolume(path: string, { volumes = [] }: Inspection): boolean {
  return volumes.some((volume) => isWithin(path, volume.path));
}

function volumeOf({ path, bytes, files }: CapturedVolume): Resource {
  const why = `captured with the memory (${count(files, "file")}): each clone sees a view of its own`;
  return own("volume", path, "copy-on-write", why, bytes);
}

function memoryOf({ pid, comm, bytes }: ImageProcess): Resource {
  const why = "private: each clone starts with what the image holds, and no other sees what it writes";
  return own("memory", `process ${pid} (${comm})`, "copy-on-write", why, bytes);
}

function sharedMemory({ shared_bytes }: Inspection): Resource[] {
  if (shared_bytes === 0) return [];
  const why = "its processes share it with each other; each clone has its own, with what it held";
  return [own("shared memory", "anonymous and memory files", "copy-on-write", why, shared_bytes)];
}

function openFiles(process: ImageProcess, inspection: Inspection, rules: Rules): Resource[] {
  return process.descriptors.filter(isFile).map((descriptor) => {
    const path = pathOf(descriptor);
    if (rules.leaveOut.paths.some((folder) => isWithin(path, folder))) {
      return own("open file", path, "customise", LEFT_OUT);
    }
    if (descriptor.detail !== path) {
      return own("deleted file", path, "copy-on-write", "its contents are in the snapshot");
    }
    if (/write/.test(String(descriptor.flags)) || isInVolume(path, inspection)) {
      return writtenFile("open file", path, inspection, rules);
    }
    if (isMoved(path, rules)) return moved("open file", path);
    return share("open file", path, "it is open for reading only");
  });
}

const LEFT_OUT = "the rules leave it out: it leads to /dev/null";

function isFile({ kind, detail }: Descriptor): boolean {
  return kind === "regular" && detail.startsWith("/");
}

function pathOf({ detail }: Descriptor): string {
  return detail.replace(/ \(deleted\)$/, "");
}

function kernelObjects(process: ImageProcess, inspection: Inspection, rules: Rules): Resource[] {
  return process.descriptors.filter((one) => !isFile(one)).map((descriptor) => {
    const name = `descriptor ${descriptor.fd} of process ${process.pid}`;
    const [treatment, why] = treatmentOf(descriptor.kind, inspection, rules);
    return own(descriptor.kind.replaceAll("_", " "), name, treatment, why);
  });
}

/** What is open and no file. Ports and terminals stand among the ids as well, under their names. */
function treatmentOf(kind: string, inspection: Inspection, rules: Rules): [Treatment, string] {
  if (isLeftOut(kind, rules)) return ["customise", LEFT_OUT];
  switch (kind) {
    case "log":
      return ["customise", logged(rules)];
    case "external":
      return ["customise", "it led out of the application: in a clone it leads to its log or to nothing"];
    case "terminal":
      return ["virtualise", "each clone has an instance of devpts of its own, and keeps the number"];
    case "network":
      if (inspection.own_network) {
        return ["virtualise", "each clone has a network namespace of its own, and keeps port and connection"];
      }
      return ["multiplex", `a port or connection can belong to one clone only; ${connections(rules)}`];
    default:
      return ["copy-on-write", "each clone has its own, made anew with what it held"];
  }
}

function logged({ stdout }: Rules): string {
  return stdout === undefined || stdout === "log"
    ? "each clone has a log of its own"
    : "the rules say where it leads";
}

function connections({ tcp, connections: { keep, close } }: Rules): string {
  if (keep.length + close.length > 0) return "the rules say which connections are kept";
  return tcp === "close"
    ? "the rules restore connections closed"
    : 'tcp = "close" restores connections closed';
}

function unixName(name: string, inspection: Inspection): Resource {
  if (isInVolume(name, inspection)) {
    const why = "it is bound in a volume, of which each clone has its own view";
    return own("unix socket", name, "virtualise", why);
  }
  const isAbstract = name.startsWith("@");
  if (isAbstract && inspection.own_network) {
    const why = "each clone has a network namespace of its own, and keeps the name";
    return own("unix socket", name, "virtualise", why);
  }
  const why = isAbstract
    ? `the name is one of the host's network namespace: only one clone at a time can have it; ${NONE}`
    : "a socket keeps its path: only one clone at a time can be bound to it";
  return own("unix socket", name, "multiplex", why);
}

function idOf(row: IdRow, rules: Rules): Resource {
  const port = row.type === "port" ? rules.ports[String(row.virtual)] : undefined;
  if (port !== undefined) {
    const why = `the rules give each clone another port of the host: ${port}`;
    return own("port", `${row.key ?? ""} ${row.virtual}`.trim(), "customise", why);
  }
  if (row.type === "port") return portOf(row);
  const name = row.key === undefined ? String(row.virtual) : `${row.virtual} (key ${row.key})`;
  return own(row.type, name, "virtualise", reasonFor(row));
}

function portOf({ key, virtual, backend }: IdRow): Resource {
  const name = `${key ?? ""} ${virtual}`.trim();
  if (backend === "namespace") {
    const why = "each clone has a network namespace of its own, and keeps the port";
    return own("port", name, "virtualise", why);
  }
  const why =
    `clones are in the host's network namespace: only one at a time can have the port; a rule under [ports] gives each its own, ${NONE}`;
  return own("port", name, "multiplex", why);
}

function reasonFor({ backend, type }: IdRow): string {
  if (backend === "translate") return "each clone has a table of its own, and keeps the number";
  if (backend === "host") return "each clone gets a namespace of its own, and keeps the number";
  const numbered = type.startsWith("posix") ? "the name" : "the number";
  return `each clone has a namespace of its own, and keeps ${numbered}`;
}

function hostname({ hostname }: Inspection, rules: Rules): Resource {
  const pattern = rules.hostname ?? "{name}";
  return own("hostname", hostname || "(the host's)", "customise", `a clone's is "${pattern}"`);
}

/** Processes map the same files: each is told once, with the most that one of them maps. */
function unique(resources: readonly Resource[]): Resource[] {
  const found = new Map<string, Resource>();
  for (const resource of resources) {
    const key = JSON.stringify([resource.kind, resource.name, resource.treatment]);
    const known = found.get(key);
    if (known === undefined || (resource.bytes ?? 0) > (known.bytes ?? 0)) found.set(key, resource);
  }
  return [...found.values()];
}
