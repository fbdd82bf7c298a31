import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { departed, Directory, type Document, granted, moved } from "./directory.ts";
import { newCard } from "./environments.ts";
import { Etcd, parseEndpoints } from "./etcd.ts";
import { countOf, halfOf } from "./shares.ts";
import type { Host } from "./span.ts";
import { parseSubnet } from "./subnets.ts";

interface Entry {
  value: string;
  revision: number;
}

/** What is asked; each question has a part of it. */
interface Body {
  key: string;
  range_end?: string;
  value: string;
  compare: [{ key: string; mod_revision: string }];
  success: [{ request_put: { value: string } }];
}

/** What the gateway of etcd does with one key and with keys of one beginning. */
class Gateway implements AsyncDisposable {
  readonly entries = new Map<string, Entry>();
  #revision = 0;
  asked = 0;
  /** Called before a change, as another host may be faster. */
  meanwhile: () => void = () => {};
  readonly server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    this.asked++;
    const body = await request.json();
    const [, what = ""] = /\/v3\/kv\/(\w+)$/.exec(request.url) ?? [];
    return Response.json(this.#answers[what]?.(body) ?? {});
  });

  readonly #answers: Record<string, (body: Body) => unknown> = {
    range: (body) => this.#range(body),
    txn: (body) => this.#change(body),
    put: ({ key, value }) => this.put(key, value),
    deleterange: (body) => {
      for (const [key] of this.#found(body)) this.entries.delete(key);
    },
  };

  get url(): string {
    return `http://127.0.0.1:${this.server.addr.port}`;
  }

  put(key: string, value: string): void {
    this.entries.set(key, { value, revision: ++this.#revision });
  }

  #found({ key, range_end }: Body): [string, Entry][] {
    return [...this.entries].filter(([one]) =>
      range_end === undefined ? one === key : decode(one) >= decode(key) && decode(one) < decode(range_end)
    );
  }

  #range(body: Body): unknown {
    const found = this.#found(body);
    const kvs = found.map(([name, { value, revision }]) => ({
      key: name,
      value,
      mod_revision: String(revision),
    }));
    return { header: { revision: String(this.#revision) }, ...(kvs.length > 0 && { kvs }) };
  }

  #change({ compare: [{ key, mod_revision }], success: [{ request_put }] }: Body): unknown {
    const meanwhile = this.meanwhile;
    this.meanwhile = () => {};
    meanwhile();
    if (String(this.entries.get(key)?.revision ?? 0) !== mod_revision) return { header: {} };
    this.put(key, request_put.value);
    return { header: { revision: String(this.#revision) }, succeeded: true };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.shutdown();
  }
}

function decode(text: string): string {
  return new TextDecoder().decode(Uint8Array.fromBase64(text));
}

function host(id: string, first: number, last: number): Host {
  return { id, name: id, address: "10.0.0.1", revision: 1, numbers: [[first, last]] };
}

async function documentOf(...hosts: Host[]): Promise<Document> {
  const environment = await newCard("shop", [parseSubnet("10.10.2.0/24")], false);
  return { environment, hosts, gone: [], free: [[201, 254]] };
}

function owned(document: Document): [string, number][] {
  return document.hosts.map(({ id, numbers }) => [id, countOf(numbers)]);
}

function fault(expected: RegExp): (error: unknown) => true {
  return (error) => {
    match(error instanceof StasisError ? JSON.stringify(error.fault) : String(error), expected);
    return true;
  };
}

Deno.test("numbers move from one owner to another, once", async () => {
  const before = await documentOf(host("a", 1, 100), host("b", 101, 200));
  const after = moved(before, "a", "b", [[50, 120]]);
  deepStrictEqual(owned(after), [["a", 49], ["b", 151]]);
  strictEqual(moved(after, "a", "b", [[50, 120]]), after, "what was carried out is not carried out again");
  deepStrictEqual(owned(granted(after, "a", halfOf)), [["a", 76], ["b", 151]]);
  strictEqual(granted(after, "nobody", halfOf), after);
  const left = departed(after, [{ id: "a", name: "a" }]);
  deepStrictEqual([left.free, left.gone.length, left.hosts.length], [[[1, 49], [201, 254]], 1, 1]);
  strictEqual(departed(left, [{ id: "a", name: "a" }]), left);
});

Deno.test("a change that was overtaken by another host's is made anew", async () => {
  await using gateway = new Gateway();
  const document = await documentOf(host("a", 1, 100), host("b", 101, 200));
  const directory = new Directory([gateway.url], document.environment);
  await directory.enter(document);
  await rejects(directory.enter(document), fault(/there is one of this name and these ranges/));
  gateway.meanwhile = () => {
    const [key = ""] = gateway.entries.keys();
    gateway.put(
      key,
      new TextEncoder().encode(JSON.stringify(moved(document, "b", "a", [[101, 150]]))).toBase64(),
    );
  };
  deepStrictEqual(owned(await directory.change((one) => moved(one, "a", "b", [[1, 10]]))), [["a", 140], [
    "b",
    60,
  ]]);
  deepStrictEqual(owned(await directory.read()), [["a", 140], ["b", 60]]);
  strictEqual((await Directory.find([gateway.url], "shop")).hosts.length, 2);
  await rejects(Directory.find([gateway.url], "bank"), fault(/it has none of this name/));
  const [a] = document.hosts;
  if (a !== undefined) await directory.tell(a, [{ name: "web", running: true, addresses: ["10.10.2.1"] }]);
  deepStrictEqual([...(await directory.told()).keys()], ["a"]);
  await directory.remove();
  strictEqual(gateway.entries.size, 0);
  await rejects(directory.read(), fault(/it has been removed/));
  await directory.remove();
});

Deno.test("one server after the other is asked, and why none answers is told", async () => {
  await using gateway = new Gateway();
  await using odd = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    () => new Response("hello"),
  );
  const late = Promise.withResolvers<Response>();
  await using slow = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => late.promise);
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const nobody = `http://127.0.0.1:${closed.addr.port}`;
  closed.close();
  const at = (server: Deno.HttpServer<Deno.NetAddr>) => `http://127.0.0.1:${server.addr.port}`;
  const etcd = new Etcd([nobody, at(odd), gateway.url], 2000);
  deepStrictEqual(await etcd.read("/x"), { value: undefined, revision: "0" });
  strictEqual(gateway.asked, 1);
  const none = new Etcd([nobody, at(odd), at(slow)], 200);
  await rejects(none.read("/x"), fault(/refused.*does not answer as etcd does.*within 0\.2 s.*curl/));
  late.resolve(new Response("late"));
  const unsure = new Etcd([at(odd), gateway.url], 2000);
  await rejects(unsure.replace("/x", "0", 1), fault(/Could not ask the directory/));
  strictEqual(gateway.asked, 1, "a change that may have been made is not made by another server");
});

Deno.test("what stands in the directory and is not of stasis is not believed", async () => {
  await using gateway = new Gateway();
  const { environment, ...rest } = await documentOf(host("a", 1, 100));
  const key = new TextEncoder().encode(`/stasis/vne/${environment.id}`).toBase64();
  const directory = new Directory([gateway.url], environment);
  const forged = { ...environment, subnets: ["10.10.9.0/24"] };
  for (const wrong of [1, {}, { environment: forged, ...rest }, { environment, ...rest, hosts: [{}] }]) {
    gateway.put(key, new TextEncoder().encode(JSON.stringify(wrong)).toBase64());
    await rejects(directory.read(), fault(/not of stasis|Could not understand/));
  }
});

Deno.test("the addresses of a directory are http ones", () => {
  deepStrictEqual(parseEndpoints("http://a:2379/, https://b:2379"), ["http://a:2379", "https://b:2379"]);
  for (const wrong of ["", "a:2379", "ftp://a", "http://a/v3", ","]) {
    strictEqual(
      ((): unknown => {
        try {
          return parseEndpoints(wrong);
        } catch (error) {
          return error instanceof StasisError ? error.fault.code : error;
        }
      })(),
      "usage",
      wrong,
    );
  }
});
