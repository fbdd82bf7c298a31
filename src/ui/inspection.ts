import type { ImageProcess, Inspection } from "../../ffi/messages.ts";
import { count, formatBytes, printable } from "./format.ts";
import { renderTable } from "./table.ts";

const PROCESSES = [
  { title: "PID", right: true },
  { title: "PPID", right: true },
  { title: "PGID", right: true },
  { title: "SID", right: true },
  { title: "THREADS", right: true },
  { title: "AREAS", right: true },
  { title: "MEMORY", right: true },
  { title: "COMM" },
  { title: "EXECUTABLE" },
];

const DESCRIPTORS = [
  { title: "PID", right: true },
  { title: "FD", right: true },
  { title: "KIND" },
  { title: "FLAGS" },
  { title: "DETAIL" },
];

const SECTIONS = [{ title: "SECTION" }, { title: "VERSION", right: true }, { title: "SIZE", right: true }];

/** What `stasis inspect` shows: the label and the host, processes, descriptors and sections. */
export function renderInspection(dir: string, inspection: Inspection, width?: number): string[] {
  return [
    ...facts(dir, inspection),
    "",
    ...renderTable(PROCESSES, inspection.processes.map(processRow), width),
    "",
    ...renderTable(DESCRIPTORS, inspection.processes.flatMap(descriptorRows), width),
    "",
    ...renderTable(
      SECTIONS,
      inspection.sections.map((one) => [one.kind, String(one.version), formatBytes(one.bytes)]),
    ),
  ];
}

function facts(dir: string, { format, label, host, bytes, volumes = [] }: Inspection): string[] {
  const pairs: [string, string | undefined][] = [
    ["snapshot", label?.id],
    ["application", label?.name ?? "(process tree)"],
    ["aid", label?.aid],
    ["tags", label?.tags?.join(", ")],
    ["created", label?.created],
    ["folder", dir],
    ["format", String(format)],
    ["size", formatBytes(bytes)],
    ...volumes.map(({ path, files, bytes }): [string, string] => [
      "volume",
      `${path} (${count(files, "file")}, ${formatBytes(bytes)})`,
    ]),
    ...Object.entries(host).map(([key, value]): [string, string] => [`host ${key}`, plain(value)]),
  ];
  const told = pairs.filter((pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== "");
  const width = Math.max(...told.map(([key]) => key.length));
  return told.map(([key, value]) => `${printable(key).padEnd(width)}  ${printable(value)}`);
}

function plain(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function processRow(one: ImageProcess): string[] {
  const numbers = [one.pid, one.ppid, one.pgid, one.sid, one.threads, one.vmas].map(String);
  return [...numbers, formatBytes(one.bytes), one.comm, one.exe];
}

function descriptorRows(one: ImageProcess): string[][] {
  return one.descriptors.map((descriptor) => [
    String(one.pid),
    String(descriptor.fd),
    descriptor.kind,
    String(descriptor.flags),
    descriptor.detail,
  ]);
}
