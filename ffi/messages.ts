import type { Edits } from "./edits.ts";

/**
 * The requests that the engine answers, and its answers. The request structs are in
 * native/crates/abi/src/request.rs; field names are the same on both sides.
 */

import type { Fault } from "./error.ts";

/** Where this user's state lives: what outlasts a reboot, and what does not. */
export interface Home {
  data: string;
  run: string;
}

/** One application, or a process tree that stasis did not start. */
export type Target = { aid: string } | { pid: number };

/** How a process ended: with an exit code, or by a signal. */
export interface Ending {
  code?: number;
  signal?: number;
}

/** What the command says about a snapshot; the image keeps it verbatim. */
export interface Label {
  id: string;
  /** Absent for a process tree that stasis did not start. */
  name?: string;
  aid?: string;
  tags: string[];
  /** ISO 8601. */
  created: string;
  /** Of a clone. */
  origin?: Origin;
  /** The id of the chain that it was taken as a part of. */
  chain?: string;
}

/** What an application is a clone of, by itself or by the snapshot that it comes from. */
export interface Origin {
  /** The name of the template. */
  template: string;
  /** 1 for a template whose application was no clone, one more for each template in between. */
  generation: number;
}

/** Which network an application is on: the host's, or a namespace of its own, with what leads out of it. */
export type Network = "host" | { own: { links?: NetworkLink[] } };

/** An interface that leads out of a network namespace, into a virtual network environment. */
export interface NetworkLink {
  environment: Environment;
  /** What it is called in the namespace. */
  interface: string;
  /** One of each range of the environment. */
  addresses: string[];
  /** Ports of the application that others reach by ports of the host. */
  published?: PublishedPort[];
}

/** A port of the application, and the port of the host that leads there. */
export interface PublishedPort {
  protocol: "tcp" | "udp";
  port: number;
  /** 0 asks for any that is free. */
  host: number;
  /** Whether another one does, where that one is taken. */
  auto?: boolean;
}

/** A virtual network environment, as far as its members depend on it. */
export interface Environment {
  name: string;
  /** Six hexadecimal digits, the same on every host. */
  id: string;
  /** In CIDR notation. */
  subnets: string[];
  /** Whether members may reach what is not of it. */
  outside: boolean;
  /** The longest packet that members send, in bytes; 1500 where nothing is said. */
  mtu?: number;
  /** Whether the host has no way into it, and it none to the host. */
  apart?: boolean;
}

/** How an environment goes on to other hosts. */
export interface Tunnel {
  /** This host, as the others reach it. */
  address: string;
  /** The others: all that the environment spans, and no more. */
  peers: string[];
  /** What only these hosts know, in hexadecimal digits; what goes between them is encrypted then. */
  secret?: string;
}

export interface MakeEnvironmentRequest {
  environment: Environment;
  tunnel?: Tunnel;
  /** Addresses that other hosts hand out from now on: what is left here of members with them is removed. */
  absent?: string[];
}

/** How an environment's tunnel stands on this host. */
export interface TunnelStanding {
  /** The link that frames go to other hosts by. */
  name: string;
  up: boolean;
  /** This host, as the others reach it. */
  address: string;
  peers: string[];
  mtu: number;
  /** Left out where what goes to other hosts is not encrypted. */
  encryption?: EncryptionStanding;
  received_bytes: number;
  received_packets: number;
  sent_bytes: number;
  sent_packets: number;
}

/** What is encrypted on the way between hosts. */
export interface EncryptionStanding {
  /** In seconds since 1970, when the last key of some way will have ended; left out where there are none, so that nothing is sent. */
  keys_until?: number;
  /** Under the keys that are there. */
  received_packets: number;
  sent_packets: number;
}

/** How an environment stands on this host. */
export interface Standing {
  /** Whether all of it is there. What is missing is made when the next member comes. */
  present: boolean;
  bridge: string;
  links: MemberLink[];
  /** Left out where it is on this host only. */
  tunnel?: TunnelStanding;
  /** What the rules have stopped, in packets. */
  stopped: { spoofed?: number; host?: number; outside?: number; tunnel?: number; clear?: number };
}

/** The link of one member, counted as the member sees it. */
export interface MemberLink {
  /** The host's end. */
  name: string;
  addresses: string[];
  up: boolean;
  received_bytes: number;
  received_packets: number;
  sent_bytes: number;
  sent_packets: number;
}

/** A folder that belongs to an application's state. */
export interface Volume {
  path: string;
  /** The host's folder, or what the application's own view of it is made of. */
  view: "host" | "overlay" | "copy";
}

/** A captured folder. */
export interface CapturedVolume {
  path: string;
  files: number;
  /** Of all files. */
  bytes: number;
}

export interface Application extends Ending {
  aid: string;
  name: string;
  /** `lost`: its capsule is gone without a word, as after a power cut. */
  state: "running" | "exited" | "lost";
  pid?: number;
  processes?: number;
  /** ISO 8601. */
  started: string;
  command: string[];
  /** Of a clone. */
  origin?: Origin;
  network: Network;
  /** Left out when there are none. */
  volumes?: Volume[];
  rss_bytes?: number;
}

export interface Descriptor {
  fd: number;
  kind: string;
  detail: string;
  flags: string | number;
}

/** What a process has mapped of one file. */
export interface MappedFile {
  path: string;
  bytes: number;
  executable: boolean;
  /** Whether what it writes there reaches the file. */
  written: boolean;
}

export interface ImageProcess {
  pid: number;
  ppid: number;
  pgid: number;
  sid: number;
  comm: string;
  exe: string;
  cwd: string;
  threads: number;
  vmas: number;
  bytes: number;
  mapped: MappedFile[];
  descriptors: Descriptor[];
}

export interface Section {
  kind: string;
  version: number;
  bytes: number;
}

export interface Inspection {
  format: number | string;
  label: Partial<Label> | null;
  host: Record<string, unknown>;
  /** Absent for a process tree. */
  hostname?: string;
  /** Whether it has a `/dev/shm` of its own. */
  own_shared_memory: boolean;
  /** Whether it has a network namespace of its own. */
  own_network: boolean;
  /** What leads out of that. */
  links?: NetworkLink[];
  /** Of anonymous memory and memory files that processes share. */
  shared_bytes: number;
  /** What its UNIX sockets are bound to; abstract names begin with `@`. */
  unix_names: string[];
  /** Folders of the host that were captured with it; left out when there are none. */
  volumes?: CapturedVolume[];
  processes: ImageProcess[];
  sections: Section[];
  bytes: number;
}

/** A sub-folder of the store: a snapshot, or what is left of one. */
export type Listed =
  | { dir: string; label: Partial<Label> | null; bytes: number; processes: number; created?: string }
  | { dir: string; damaged: string };

/** One thing that stasis relies on, as this host has it. */
export interface Check {
  name: string;
  found: string;
  needed: string;
  ok: boolean;
  /** Whether stasis is of no use without it; the others each cost one feature. */
  required: boolean;
  consequence: string;
  fix?: string;
}

/** One id of an application: what it calls a resource, and what the host calls it. */
export interface IdRow {
  type: string;
  virtual: number | string;
  /** Absent in a snapshot. */
  system?: number | string;
  /** The key of a System V object, the address of a port. */
  key?: string;
  /** A user's name, or the number where this host knows none. */
  owner?: string;
  state: string;
  /** Who translates: the kernel, in namespaces of the application's, or nobody. */
  backend: "namespace" | "translate" | "host";
}

/** A running application, or the folder of a snapshot. */
export type IdsRequest = { aid: string } | { dir: string };

/** What becomes of TCP connections: they go on (the default), or come back closed. */
export type Tcp = "keep" | "close";

/** How System V ids are kept an application's own. */
export type IdKeeping = "auto" | "namespace" | "translate";

/** Where calls that bear ids are seen, where these are translated. */
export type Interpose = "auto" | "library" | "kernel" | "off";

/**
 * Which folders a restored application has as its volumes: views of its own of what was captured (the default), the host's as
 * they are, or the host's with what was captured put back.
 */
export type Volumes = "own" | "host" | "back";

export interface RunRequest {
  name: string;
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  detach: boolean;
  terminal: boolean;
  hostname?: string;
  ids?: IdKeeping;
  interpose?: Interpose;
  network?: Network;
  /** Folders that belong to its state; absolute. */
  volumes?: string[];
}

export interface Started {
  aid: string;
  name: string;
  pid: number;
}

export interface ExecRequest {
  aid: string;
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  terminal: boolean;
  /** Nothing to read, and what it writes to standard output goes nowhere. */
  quiet?: boolean;
}

export interface SnapshotRequest {
  target: Target[];
  out: string;
  stop: boolean;
  label: Label;
  tcp?: Tcp;
  /** Where the folder is to lie in the end, if the caller moves it. */
  place?: string;
}

/** Of several applications at one moment. The operation waits at the gates of `SNAPSHOT_GATES`. */
export interface TogetherRequest {
  snapshots: (SnapshotRequest & { home: Home })[];
  /** How long they may wait for each other. */
  patience_ms: number;
}

/**
 * Of an application that is to go on elsewhere, first while it runs, then with what has changed. It waits at the gates of
 * `SNAPSHOT_GATES`: at the first one the first snapshot is complete, behind the last one the application ends.
 */
export interface DepartRequest {
  first: SnapshotRequest & { home: Home };
  last: SnapshotRequest & { home: Home };
  patience_ms: number;
}

/**
 * Where applications that are captured together wait for each other (`native/crates/engine/src/snapshot/together.rs`): ready to be
 * stopped; still, and nothing that is sent reaches them; captured, so that they run on behind it; complete and on disk.
 */
export const SNAPSHOT_GATES = { prepared: 1, frozen: 2, collected: 3, saved: 4 } as const;

/**
 * Where applications that come back together do (`native/crates/engine/src/restore/together.rs`): complete, and nothing of them to
 * be seen; linked, so that they live behind it.
 */
export const RESTORE_GATES = { built: 1, linked: 2 } as const;

/** What became of one of several; `first` is the one for whose sake the others failed. */
export type BackOutcome = { made: Restored } | { failed: { fault: Fault; first: boolean } };

export interface SnapshotTaken {
  dir: string;
  processes: number;
  threads: number;
  bytes: number;
  pause_us: number;
  total_us: number;
  notes: string[];
}

export interface RestoreRequest {
  dir: string;
  name?: string;
  detach: boolean;
  terminal: boolean;
  files?: Record<string, string>;
  tcp?: Tcp;
  /** The host name, where not as before. */
  hostname?: string;
  origin?: Origin;
  /** The checksums of page data were compared already, by `verify`. */
  checked?: boolean;
  /** All but those of the snapshot's own pack were. */
  others_checked?: boolean;
  /** Take the place of a running application. */
  replace?: Replace;
  edits?: Edits;
  volumes?: Volumes;
  /** As it was in the snapshot, where nothing is said. */
  network?: Network;
}

/** The running application whose place a restore takes: its AID, name, log and standard streams. */
export interface Replace {
  aid: string;
  /** The snapshot may be of another application. */
  foreign?: boolean;
}

/** Of many clones of one image: each with its home, as the engine knows it. */
export interface CloneRequest {
  restores: (RestoreRequest & { home: Home })[];
  /** Go on when one fails. */
  keep_going: boolean;
}

/** What became of one clone; `left` was not begun. */
export type CloneOutcome = { made: Restored } | { failed: Fault } | "left";

/** A template in memory. */
export interface Resident {
  name: string;
  pid: number;
  /** Of memory that clones share. */
  bytes: number;
  /** ISO 8601. */
  loaded: string;
  /** Of the image in memory. */
  identity: string;
}

/** `aid` and `name` are absent for a process tree, which comes back in the caller's namespaces. */
export interface Restored {
  aid?: string;
  name?: string;
  pid: number;
  /** From the request to the release of all processes, in microseconds. */
  total_us: number;
  /** What the user should know, though nothing is lost; left out when there is nothing. */
  notes?: string[];
}

/** An application that has an address in an environment, running or ended, as its record says. */
export interface MemberRecord {
  aid: string;
  name: string;
  /** Where it was given one. */
  hostname?: string;
  running: boolean;
  /** ISO 8601. */
  started: string;
  addresses: string[];
}

/** Every operation with the type of its request and of its answer. */
export interface Operations {
  run: { request: RunRequest; response: Started };
  attach: { request: Target; response: Ending };
  signal: { request: { aid: string; signal: number }; response: unknown };
  stop: { request: { aid: string; timeout_ms: number }; response: Ending & { killed: boolean } };
  wait: { request: { aid: string }; response: Ending };
  exec: { request: ExecRequest; response: Ending & { pid: number } };
  ps: { request: Record<never, never>; response: { apps: Application[] } };
  names: { request: Record<never, never>; response: { names: string[] } };
  members: { request: { environment: string }; response: { members: MemberRecord[] } };
  owner: { request: { pid: number }; response: { aid: string } };
  ids: { request: IdsRequest; response: { rows: IdRow[] } };
  remove: { request: { aid: string }; response: unknown };
  snapshot: { request: SnapshotRequest; response: SnapshotTaken };
  depart: { request: DepartRequest; response: { first: SnapshotTaken; last: SnapshotTaken } };
  snapshot_together: { request: TogetherRequest; response: { taken: SnapshotTaken[] } };
  restore: { request: RestoreRequest; response: Restored };
  restore_together: {
    request: { restores: (RestoreRequest & { home: Home })[] };
    response: { outcomes: BackOutcome[] };
  };
  clone: { request: CloneRequest; response: { outcomes: CloneOutcome[] } };
  load: { request: { dir: string; name: string; limit_bytes: number }; response: Resident };
  unload: { request: { name: string }; response: Resident };
  loaded: { request: Record<never, never>; response: { templates: Resident[] } };
  inspect: { request: { dir: string }; response: Inspection };
  adopt_volumes: { request: { dir: string }; response: { volumes: number } };
  link_volumes: { request: { from: string; to: string }; response: { volumes: number } };
  verify: { request: { dir: string }; response: { ok: true; bytes: number } };
  list: { request: { folder: string }; response: { snapshots: Listed[] } };
  make_environment: { request: MakeEnvironmentRequest; response: unknown };
  remove_environment: { request: { environment: Environment }; response: unknown };
  inspect_environment: { request: { environment: Environment }; response: Standing };
  doctor: { request: Record<never, never>; response: { checks: Check[] } };
}

export type Operation = keyof Operations;
export type Request<Op extends Operation> = Operations[Op]["request"];
export type Response<Op extends Operation> = Operations[Op]["response"];
