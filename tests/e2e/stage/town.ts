/** Applications in virtual network environments, on a host with a network of its own. */

import { NetworkHost } from "./network_host.ts";
import { until } from "./stage.ts";

/** Says who it is, and how often it has been asked, to whoever connects. */
const SERVER = `
import socket, sys
times = 0
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    times += 1
    connection.sendall(f"{sys.argv[1]} {times}".encode())
    connection.close()
`;

/** Prints what is said at an address and port. */
const CALLER = `
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as connection:
    print(connection.makefile().read())
`;

/** A host with such applications. */
export class Town implements AsyncDisposable {
  private constructor(public host: NetworkHost, readonly server: string) {}

  static async open(): Promise<Town> {
    const host = await NetworkHost.open();
    return new Town(host, await host.stage.write("server.py", SERVER));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host[Symbol.asyncDispose]();
  }

  stasis(...args: string[]): Promise<string> {
    return this.host.stage.stasis(...args);
  }

  create(name: string, ...args: string[]): Promise<string> {
    return this.stasis("vne", "create", name, ...args);
  }

  /** Starts a server in an environment; it answers with its name. */
  async serve(name: string, vne: string, ...options: string[]): Promise<void> {
    const own = ["-d", "--name", name, "--vne", vne, ...options];
    await this.stasis("run", ...own, "--", "python3", this.server, name);
    await this.awaken(name);
  }

  async awaken(name: string): Promise<void> {
    await until(`${name} run`, async () => (await this.host.stage.logs(name)).includes("ready") || undefined);
  }

  /** What the host hears. */
  hear(address: string, port = 80): Promise<string> {
    return this.host.must("python3", "-c", CALLER, address, String(port));
  }

  /** What an application hears; undefined where nobody answers. */
  async hears(name: string, address: string, port = 80): Promise<string | undefined> {
    const words = ["exec", name, "--", "python3", "-c", CALLER, address, String(port)];
    const { code, stdout } = await this.host.stage.attempt(...words);
    return code === 0 ? stdout.trim() : undefined;
  }

  async show(name: string): Promise<Shown> {
    return JSON.parse(await this.stasis("vne", "show", name, "--json"));
  }
}

export interface Shown {
  id: string;
  mtu?: number;
  present: boolean;
  members: { name: string; state: string; addresses: string[]; link?: { sent_packets: number } }[];
  stopped: { spoofed: number; host: number; outside: number };
  hosts?: ShownHost[];
}

export interface ShownHost {
  name: string;
  address: string;
  self: boolean;
  count: number;
  numbers: [number, number][];
  members?: { name: string; state: string; addresses: string[] }[];
  unreachable?: string;
}
