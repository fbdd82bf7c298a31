/** etcd by its JSON gateway (`/v3/kv`): one key is read, and replaced while nobody else has. */

import { StasisError } from "../../ffi/error.ts";

/** How long one of its servers may take, in ms. */
const PATIENCE = 3000;
/** The longest answer, in bytes. */
const MOST_BYTES = 8 << 20;

export interface Kept {
  value: unknown;
  /** Which change of the whole store made it; 0 where the key is not there. */
  revision: string;
}

/** Reads the addresses of servers: `http://HOST:2379[,...]`. */
export function parseEndpoints(text: string): string[] {
  const endpoints = text.split(",").map((one) => one.trim()).filter((one) => one !== "");
  const wrong = endpoints.find((one) => !isEndpoint(one));
  if (endpoints.length > 0 && wrong === undefined) return endpoints.map((one) => one.replace(/\/+$/, ""));
  throw StasisError.of("usage", `Could not understand the directory "${wrong ?? text}"`, {
    hint: "Write the addresses of etcd as http://HOST:2379, with a comma between each and the next",
  });
}

function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && ["http:", "https:"].includes(url.protocol) && url.pathname === "/" &&
    url.search === "";
}

export class Etcd {
  constructor(readonly endpoints: readonly string[], readonly patience = PATIENCE) {}

  /** What stands under a key; undefined for nothing. Reads are linearizable. */
  async read(key: string): Promise<Kept> {
    const answer = await this.#ask("range", { key: encode(key) });
    return keptIn(answer);
  }

  /** All that stands under keys with this beginning. */
  async list(prefix: string): Promise<unknown[]> {
    const answer = await this.#ask("range", { key: encode(prefix), range_end: encode(following(prefix)) });
    return recordsIn(answer.kvs).map((one) => decode(one));
  }

  /** Puts a value, whatever stood there. */
  async put(key: string, value: unknown): Promise<void> {
    await this.#ask("put", { key: encode(key), value: encode(JSON.stringify(value)) });
  }

  /** Removes one key, or with `all` every key with this beginning. */
  async clear(key: string, all = false): Promise<void> {
    await this.#ask("deleterange", { key: encode(key), ...(all && { range_end: encode(following(key)) }) });
  }

  /** Puts a value in the place of what stood there at `revision` ("0": nothing). Returns whether that had not changed. */
  async replace(key: string, revision: string, value: unknown): Promise<boolean> {
    const name = encode(key);
    const { succeeded } = await this.#ask("txn", {
      compare: [{ key: name, target: "MOD", result: "EQUAL", mod_revision: revision }],
      success: [{ request_put: { key: name, value: encode(JSON.stringify(value)) } }],
    });
    return succeeded === true;
  }

  /** Asks one server after the other, until one answers. What a change came to is not known when it was under way. */
  async #ask(what: string, body: unknown): Promise<Record<string, unknown>> {
    const causes: string[] = [];
    for (const endpoint of this.endpoints) {
      const answer = await this.#askOne(`${endpoint}/v3/kv/${what}`, body);
      if (typeof answer !== "string") return answer;
      causes.push(`${endpoint}: ${answer}`);
      // It may have been carried out: asked once more, it would seem to have been overtaken by another's.
      if (what === "txn" && !/refused|no route|unreachable|dns|lookup/i.test(answer)) break;
    }
    throw StasisError.of("other", "Could not ask the directory of hosts (etcd)", {
      causes,
      hint: `Try: curl ${this.endpoints[0]}/health`,
    });
  }

  /** The answer, or why there is none. */
  async #askOne(url: string, body: unknown): Promise<Record<string, unknown> | string> {
    try {
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(this.patience),
      });
      const text = await limitedText(response);
      if (!response.ok) return `it answered ${response.status} ${text.slice(0, 200)}`;
      const answer: unknown = JSON.parse(text);
      return isRecord(answer) ? answer : "it does not answer as etcd does";
    } catch (error) {
      if (error instanceof DOMException && error.name === "TimeoutError") {
        return `it did not answer within ${this.patience / 1000} s`;
      }
      if (error instanceof SyntaxError) return "it does not answer as etcd does";
      return error instanceof Error ? causeOf(error) : String(error);
    }
  }
}

/** The innermost of what went wrong: fetch wraps it in words of its own. */
function causeOf(error: Error): string {
  return error.cause instanceof Error ? causeOf(error.cause) : error.message;
}

async function limitedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.length;
    if (bytes > MOST_BYTES) throw new Error("its answer is too long");
    parts.push(part);
  }
  return await new Blob(parts.map((part) => part.slice())).text();
}

function keptIn(answer: Record<string, unknown>): Kept {
  const [first] = recordsIn(answer.kvs);
  if (first === undefined) return { value: undefined, revision: "0" };
  const { mod_revision: revision } = first;
  return { value: decode(first), revision: typeof revision === "string" ? revision : "0" };
}

function recordsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function decode({ value }: Record<string, unknown>): unknown {
  if (typeof value !== "string") return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(value)));
  } catch {
    return undefined;
  }
}

function encode(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** The first key behind all that begin with `prefix`. */
function following(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
