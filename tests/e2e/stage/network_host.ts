/** A host with a network of its own: a network namespace in which the product runs, and whose links are known one by one. */

import { must, Stage } from "./stage.ts";

/** Switches loopback on, as on any host, and stays until nobody has its standard input any more. */
const HOLDER = `
import fcntl, socket, struct, sys
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket() as any: fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
print("ready", flush=True)
sys.stdin.read()
`;

export class NetworkHost implements AsyncDisposable {
  private constructor(readonly stage: Stage, readonly holder: Deno.ChildProcess) {}

  /** Opens a stage on such a host; only root can. */
  static async open(): Promise<NetworkHost> {
    const host = new NetworkHost(await Stage.open(), hold());
    await host.#enter();
    return host;
  }

  async #enter(): Promise<void> {
    this.stage.within = ["nsenter", `--target=${this.holder.pid}`, "--net", "--"];
    await this.#settled();
  }

  /** unshare(1) is in the new namespace once the program that it was given has said so. */
  async #settled(): Promise<void> {
    const reader = this.holder.stdout.getReader();
    await reader.read();
    reader.releaseLock();
  }

  /** The same state folder on a host that has started anew: nothing of its network is left. */
  async reboot(): Promise<NetworkHost> {
    const anew = new NetworkHost(this.stage, hold());
    await anew.#enter();
    await this.#end();
    return anew;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stage[Symbol.asyncDispose]();
    await this.#end();
  }

  async #end(): Promise<void> {
    await this.holder.stdin.close().catch(() => {});
    await this.holder.stdout.cancel();
    await this.holder.status;
  }

  /** Runs a command on the host that must succeed. */
  must(...argv: string[]): Promise<string> {
    return must([...this.stage.within, ...argv]);
  }

  /** Connects this host with another by a pair of links, "lan" here and "wan" there. */
  async connect(other: NetworkHost, [here, there]: readonly [string, string]): Promise<void> {
    const far = String(other.holder.pid);
    await this.must("ip", "link", "add", "lan", "type", "veth", "peer", "name", "wan", "netns", far);
    for (const [host, link, address] of [[this, "lan", here], [other, "wan", there]] as const) {
      await host.must("ip", "address", "add", address, "dev", link);
      await host.must("ip", "link", "set", link, "up");
    }
  }

  /** The names of all links but loopback's. */
  async links(): Promise<string[]> {
    const text = await Deno.readTextFile(`/proc/${this.holder.pid}/net/dev`);
    const names = text.trim().split("\n").slice(2).map((line) => line.trim().split(":")[0] ?? "");
    return names.filter((name) => name !== "lo").sort();
  }

  /** The tables of nftables. */
  async tables(): Promise<string[]> {
    const text = await this.must("nft", "list", "tables");
    return text === "" ? [] : text.split("\n").sort();
  }
}

function hold(): Deno.ChildProcess {
  const args = ["--net", "python3", "-c", HOLDER];
  return new Deno.Command("unshare", { args, stdin: "piped", stdout: "piped" }).spawn();
}
