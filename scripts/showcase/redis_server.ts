/** A redis-server with data in its memory only: what it has after a restore can come from the snapshot alone. */

import { setTimeout as delay } from "node:timers/promises";
import type { Stasis } from "./stasis.ts";

/** What tells one server from another. */
export interface RedisState {
  keys: number;
  /** Drawn at random when a server starts. */
  runId: string;
}

export class RedisServer {
  readonly name = "redis";
  readonly #stasis: Stasis;
  readonly #folder: string;
  readonly #socket: string;

  constructor(stasis: Stasis, folder: string) {
    this.#stasis = stasis;
    this.#folder = folder;
    this.#socket = `${folder}/redis.sock`;
  }

  async start(keys: number): Promise<void> {
    const server = [
      "redis-server",
      "--port",
      "0",
      "--unixsocket",
      this.#socket,
      "--save",
      "",
      "--dir",
      this.#folder,
    ];
    await this.#stasis.show(["run", "-d", "--name", this.name, "--", ...server]);
    await this.#answers();
    await this.#ask("EVAL", "for i = 1, ARGV[1] do redis.call('SET', 'key:' .. i, i) end", "0", String(keys));
  }

  async look(): Promise<RedisState> {
    const keys = Number(await this.#ask("DBSIZE"));
    const runId = /run_id:(\w+)/.exec(await this.#ask("INFO", "server"))?.[1];
    if (runId === undefined) throw new Error("Could not read the run id of redis-server");
    return { keys, runId };
  }

  async #answers(): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline) {
      if ((await this.#ask("PING").catch(() => "")) === "PONG") return;
      await delay(20);
    }
    throw new Error("Could not reach redis-server within 10 s");
  }

  async #ask(...words: string[]): Promise<string> {
    const command = new Deno.Command("redis-cli", { args: ["-s", this.#socket, ...words], stdin: "null" });
    const { success, stdout, stderr } = await command.output();
    const answer = new TextDecoder().decode(stdout).trim();
    if (!success || /^(ERR|LOADING)/.test(answer)) {
      throw new Error(
        `Could not ask redis-server ${words.join(" ")}: ${answer}${new TextDecoder().decode(stderr)}`,
      );
    }
    return answer;
  }
}
