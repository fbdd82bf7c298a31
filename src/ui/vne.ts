import type { PublishedPort, Standing, TunnelStanding } from "../../ffi/messages.ts";
import type { EnvironmentCard } from "../vne/environments.ts";
import type { Member } from "../vne/members.ts";
import type { HostStanding } from "../vne/standings.ts";
import { formatAge, formatBytes, printable } from "./format.ts";
import { renderTable } from "./table.ts";

const ENVIRONMENTS = [
  { title: "NAME" },
  { title: "CREATED" },
  { title: "RANGE" },
  { title: "OUTSIDE" },
  { title: "HOSTS", right: true },
  { title: "MEMBERS", right: true },
];

const MEMBERS = [
  { title: "AID" },
  { title: "NAME" },
  { title: "STATE" },
  { title: "ADDRESS" },
  { title: "PUBLISHED" },
  { title: "LINK" },
  { title: "SENT", right: true },
  { title: "RECEIVED", right: true },
];

const HOSTS = [
  { title: "HOST" },
  { title: "AT" },
  { title: "ADDRESSES", right: true },
  { title: "MEMBERS", right: true },
  { title: "STATE" },
];

const ELSEWHERE = [
  { title: "HOST" },
  { title: "AID" },
  { title: "NAME" },
  { title: "STATE" },
  { title: "ADDRESS" },
];

/** What `stasis vne ls` shows. */
export function renderEnvironments(
  rows: readonly (EnvironmentCard & { members: number; hosts?: number })[],
  width?: number,
): string[] {
  const cells = rows.map((one) => [
    one.name,
    formatAge(one.created),
    one.subnets.join(" "),
    one.outside ? "allow" : "deny",
    String(one.hosts ?? 1),
    String(one.members),
  ]);
  return renderTable(ENVIRONMENTS, cells, width);
}

/** What `stasis vne show` shows. */
export function renderEnvironment(
  shown: EnvironmentCard & Omit<Standing, "links"> & {
    members: readonly Member[];
    hosts?: readonly HostStanding[];
  },
  width?: number,
): string[] {
  const { spoofed = 0, host = 0, outside = 0, tunnel = 0, clear = 0 } = shown.stopped;
  const stopped = [
    `${spoofed} with a false sender`,
    `${host} to this host`,
    `${outside} from or to the outside`,
  ];
  const facts: [string, string][] = [
    ["environment", shown.name],
    ["created", shown.created],
    ["range", shown.subnets.join(" ")],
    ["outside", shown.outside ? "allow" : "deny"],
    ["bridge", shown.present ? shown.bridge : `${shown.bridge} (made when the next application joins)`],
    ...renderTunnel(shown.tunnel),
    [
      "stopped",
      [
        ...stopped,
        ...(shown.tunnel ? [`${tunnel} from other hosts`] : []),
        ...(shown.tunnel?.encryption ? [`${clear} that were not encrypted`] : []),
      ].join(", "),
    ],
  ];
  const rows = shown.members.map(({ aid, name, state, addresses, published = [], link }) => [
    aid,
    name,
    state,
    addresses.join(" "),
    published.map(formatPort).join(" "),
    link?.name ?? "",
    link === undefined ? "" : formatBytes(link.sent_bytes),
    link === undefined ? "" : formatBytes(link.received_bytes),
  ]);
  const { hosts = [] } = shown;
  return [
    ...facts.map(([title, value]) => `${title.padEnd(11)}  ${printable(value)}`),
    ...section(HOSTS, hosts.map(hostCells), width),
    ...section(MEMBERS, rows, width),
    ...section(ELSEWHERE, hosts.filter(({ self }) => !self).flatMap(memberCells), width),
  ];
}

/** A table below an empty line; nothing for one without rows. */
function section(
  columns: Parameters<typeof renderTable>[0],
  rows: readonly string[][],
  width?: number,
): string[] {
  return rows.length === 0 ? [] : ["", ...renderTable(columns, rows, width)];
}

function hostCells({ name, address, self, count, members, present, unreachable }: HostStanding): string[] {
  const state = unreachable !== undefined
    ? `unreachable: ${unreachable}`
    : present === true
    ? "there"
    : "made when the next application joins";
  const running = members?.filter((member) => member.state === "running").length;
  return [
    self ? `${name} (this)` : name,
    address,
    String(count),
    running === undefined ? "" : String(running),
    state,
  ];
}

function memberCells({ name: host, members = [] }: HostStanding): string[][] {
  return members.map(({ aid, name, state, addresses }) => [host, aid, name, state, addresses.join(" ")]);
}

function renderTunnel(tunnel: TunnelStanding | undefined): [string, string][] {
  if (tunnel === undefined) return [];
  const ends = tunnel.peers.length === 0 ? "no other host" : tunnel.peers.join(" ");
  const traffic = `${formatBytes(tunnel.sent_bytes)} sent, ${formatBytes(tunnel.received_bytes)} received`;
  const { encryption } = tunnel;
  return [
    ["tunnel", `${tunnel.name} from ${tunnel.address} to ${ends}: ${traffic}`],
    ...(encryption === undefined ? [] : [["encrypted", lifeOfKeys(tunnel)] satisfies [string, string]]),
  ];
}

/** How long the keys of an encrypted tunnel last. */
export function lifeOfKeys({ encryption, peers }: TunnelStanding): string {
  const until = encryption?.keys_until;
  if (until !== undefined) return `keys until ${new Date(until * 1000).toISOString()}`;
  return peers.length === 0 ? "no key is needed yet" : "no keys: nothing is sent";
}

/** As `--publish` takes it: the port of the host, and where it leads. */
function formatPort({ protocol, port, host }: PublishedPort): string {
  return `${host}:${port}${protocol === "udp" ? "/udp" : ""}`;
}
