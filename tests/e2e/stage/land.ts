/** Several computers, each a host with a network of its own, that an underlay connects. */

import { NetworkHost } from "./network_host.ts";
import { type Outcome, PRODUCT } from "./stage.ts";
import { type Shown, Town } from "./town.ts";

/** As ssh would, it runs a command on a host; and fails as ssh does where a host is down. */
const RSH = `#!/bin/sh
land=$(dirname "$0") host=$1
shift
if [ -e "$land/$host.down" ]; then
  echo "ssh: connect to host $host port 22: No route to host" >&2
  exit 255
fi
. "$land/$host.host"
exec nsenter --target="$holder" --net -- env -i PATH="$PATH" HOME="$home" STASIS_HOME="$state" XDG_CACHE_HOME="$cache" sh -c "$*"
`;

/** A computer of a land. */
export interface Computer {
  name: string;
  address: string;
  town: Town;
}

export class Land implements AsyncDisposable {
  private constructor(readonly underlay: NetworkHost, readonly computers: Computer[]) {}

  /** Computers called `a`, `b` and so on, at 172.31.0.1 and fd31::1, and so on. */
  static async open(count: number, version: 4 | 6 = 4): Promise<Land> {
    const underlay = await NetworkHost.open();
    const land = new Land(underlay, []);
    await underlay.must("ip", "link", "add", "underlay", "type", "bridge");
    await underlay.must("ip", "link", "set", "underlay", "up");
    await Deno.writeTextFile(land.rsh, RSH, { mode: 0o755 });
    for (let number = 1; number <= count; number++) {
      const name = String.fromCharCode(96 + number);
      const address = version === 4 ? `172.31.0.${number}` : `fd31::${number}`;
      land.computers.push({ name, address, town: await Town.open() });
      await land.connect(name);
    }
    return land;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { town } of this.computers) await town[Symbol.asyncDispose]();
    await this.underlay[Symbol.asyncDispose]();
  }

  /** The remote shell between them. */
  get rsh(): string {
    return `${this.underlay.stage.folder}/rsh`;
  }

  /** Options of commands that speak to others. */
  get ways(): string[] {
    return ["--rsh", this.rsh, "--remote", PRODUCT];
  }

  computer(name: string): Computer {
    const found = this.computers.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no computer ${name}`);
    return found;
  }

  town(name: string): Town {
    return this.computer(name).town;
  }

  /** Connects a computer with the underlay. */
  async connect(name: string): Promise<void> {
    const { town, address } = this.computer(name);
    const { holder, stage } = town.host;
    const port = `to-${name}`;
    const far = String(holder.pid);
    await this.underlay.must("ip", "link", "add", port, "type", "veth", "peer", "name", "lan", "netns", far);
    await this.underlay.must("ip", "link", "set", port, "master", "underlay", "up");
    const length = address.includes(":") ? "64" : "24";
    await town.host.must("ip", "address", "add", `${address}/${length}`, "dev", "lan", "nodad");
    await town.host.must("ip", "link", "set", "lan", "up");
    const { STASIS_HOME: state, HOME: home, XDG_CACHE_HOME: cache } = stage.env;
    const way = `holder=${holder.pid}\nstate=${state}\nhome=${home}\ncache=${cache}\n`;
    await Deno.writeTextFile(`${this.underlay.stage.folder}/${name}.host`, way);
  }

  /** The computer starts anew: nothing of its network is left. */
  async reboot(name: string): Promise<void> {
    const { town } = this.computer(name);
    // The kernel would take it away in its own time.
    await this.underlay.must("ip", "link", "delete", `to-${name}`);
    town.host = await town.host.reboot();
    await this.connect(name);
  }

  /** Whether a computer answers others. */
  async reachable(name: string, reachable: boolean): Promise<void> {
    const flag = `${this.underlay.stage.folder}/${name}.down`;
    if (reachable) await Deno.remove(flag);
    else await Deno.writeTextFile(flag, "");
  }

  /** Makes an environment on the first computer and on others. */
  async create(vne: string, peers: readonly string[], ...options: string[]): Promise<void> {
    const [first] = this.computers;
    if (first === undefined) return;
    const named = peers.flatMap((name) => ["--peer", `${name}=${this.computer(name).address}`]);
    await first.town.create(vne, "--self", first.name, ...named, ...this.ways, ...options);
  }

  /** Has a computer join an environment by another one. */
  async join(name: string, vne: string, peer: string): Promise<string> {
    const own = ["--self", name, "--peer", peer, ...this.ways];
    return await this.town(name).stasis("vne", "join", vne, ...own);
  }

  /** How a computer sees an environment. */
  show(name: string, vne: string): Promise<Shown> {
    return this.town(name).show(vne);
  }

  /** Starts an application that does nothing, and returns its address. */
  async place(name: string, vne: string, application: string): Promise<string> {
    const own = ["-d", "--name", application, "--vne", vne];
    await this.town(name).stasis("run", ...own, "--", "sleep", "600");
    return await this.addressOf(name, vne, application);
  }

  /** Starts applications on computers at once. Returns what was said of those that got no place. */
  async storm(vne: string, computers: readonly string[], each: number): Promise<string[]> {
    const wanted = computers.flatMap((name) => Array.from({ length: each }, () => name));
    const started = await Promise.all(wanted.map((name) => this.#attempt(name, vne)));
    return started.filter(({ code }) => code !== 0).map(({ stderr }) => stderr);
  }

  /** Starts applications on a computer, one after the other, until there is no place. Returns what was said then. */
  async fill(vne: string, computer: string): Promise<string> {
    for (;;) {
      const { code, stderr } = await this.#attempt(computer, vne);
      if (code !== 0) return stderr;
    }
  }

  #attempt(computer: string, vne: string): Promise<Outcome> {
    return this.town(computer).host.stage.attempt("run", "-d", "--vne", vne, "--", "sleep", "600");
  }

  /** The addresses of all applications that run, as one computer knows. */
  async inUse(computer: string, vne: string): Promise<string[]> {
    const { hosts = [] } = await this.show(computer, vne);
    const members = hosts.flatMap((host) => host.members ?? []);
    return members.filter(({ state }) => state === "running").flatMap(({ addresses }) => addresses);
  }

  /** Where an application is found. */
  async addressOf(name: string, vne: string, application: string): Promise<string> {
    const [environment = ""] = vne.split("=");
    const { members } = await this.show(name, environment);
    const member = members.find((one) => one.name === application && one.state === "running");
    return member?.addresses[0] ?? "nowhere";
  }

  /** What is left on a computer beside its link with the underlay. */
  async remains(name: string): Promise<string[]> {
    const { host } = this.town(name);
    return [...(await host.links()).filter((link) => link !== "lan"), ...await host.tables()];
  }
}

/** The text of an error of a command that must fail. */
export async function refusal(town: Town, ...args: string[]): Promise<string> {
  const { code, stderr } = await town.host.stage.attempt(...args);
  if (code !== 0) return stderr;
  throw new Error(`${args.join(" ")} went well`);
}
