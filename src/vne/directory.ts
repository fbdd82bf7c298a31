/**
 * The directory of an environment in etcd: one document that says which hosts there are and which numbers each owns, and goes
 * before what hosts have noted. Who changes it compares and swaps. A secret never goes there.
 */

import { StasisError } from "../../ffi/error.ts";
import { cardIn, type EnvironmentCard } from "./environments.ts";
import { Etcd } from "./etcd.ts";
import { membersIn } from "./member_lists.ts";
import type { NamedMember } from "./name_lines.ts";
import { common, type Numbers, readNumbers, union, without } from "./shares.ts";
import { byName, type Gone, type Host, isRecord, type Span, type Word, wordIn } from "./span.ts";

export interface Document extends Word {
  environment: EnvironmentCard;
  /** What no host owns. */
  free: Numbers;
}

const PREFIX = "/stasis/vne/";

export class Directory {
  readonly #etcd: Etcd;
  readonly #key: string;

  constructor(endpoints: readonly string[], readonly environment: { id: string; name: string }) {
    this.#etcd = new Etcd(endpoints);
    this.#key = PREFIX + environment.id;
  }

  /** The directory that an environment has; undefined where hosts know each other by themselves. */
  static of(span: Span, environment: { id: string; name: string }): Directory | undefined {
    return span.directory === undefined ? undefined : new Directory(span.directory, environment);
  }

  /** What a directory says of the environment with this name. */
  static async find(endpoints: readonly string[], name: string): Promise<Document> {
    const listed = await new Etcd(endpoints).list(PREFIX);
    const documents = await Promise.all(listed.filter(isDocument).map(documentIn));
    const [found, ...more] = documents.filter(({ environment }) => environment.name === name);
    if (found !== undefined && more.length === 0) return found;
    const ranges = [found, ...more].flatMap((one) => one?.environment.subnets.join(" and ") ?? []);
    throw StasisError.of("no_target", `Could not find the environment "${name}" in the directory`, {
      causes: [
        found === undefined
          ? "it has none of this name"
          : `there are several, with ${ranges.join(", with ")}`,
      ],
      hint: found === undefined
        ? `Make it: stasis vne create ${name} --directory ${endpoints.join(",")}`
        : "Name a host of the one that is meant: --peer HOST",
    });
  }

  /** Enters a new environment. */
  async enter(document: Document): Promise<void> {
    if (await this.#etcd.replace(this.#key, "0", document)) return;
    throw StasisError.of(
      "usage",
      `Could not enter the environment "${this.environment.name}" into the directory`,
      {
        causes: ["there is one of this name and these ranges"],
        hint: `Join it: stasis vne join ${this.environment.name} --directory URL`,
      },
    );
  }

  async read(): Promise<Document> {
    return await this.#documentIn(await this.#etcd.read(this.#key));
  }

  /** Changes the document, as it is by then; asked again where another host was faster. */
  async change(change: (document: Document) => Document): Promise<Document> {
    for (;;) {
      const kept = await this.#etcd.read(this.#key);
      const before = await this.#documentIn(kept);
      const after = change(before);
      if (after === before) return before;
      if (await this.#etcd.replace(this.#key, kept.revision, after)) return after;
    }
  }

  /** Takes the environment out. */
  async remove(): Promise<void> {
    await this.#etcd.clear(`${this.#key}/`, true);
    await this.#etcd.clear(this.#key);
  }

  /** Notes which members a host has. */
  async tell(host: Host, members: readonly NamedMember[]): Promise<void> {
    await this.#etcd.put(`${this.#key}/members/${host.id}`, { host: host.id, members });
  }

  /** Which members hosts have said that they have, by the ids of the hosts. */
  async told(): Promise<Map<string, NamedMember[]>> {
    const listed = await this.#etcd.list(`${this.#key}/members/`);
    return new Map(listed.flatMap((one) => {
      const members = isRecord(one) ? membersIn(one) : undefined;
      return members === undefined || !isRecord(one) ? [] : [[String(one.host), members]];
    }));
  }

  /** Forgets the members of hosts. */
  async forget(hosts: readonly Gone[]): Promise<void> {
    for (const { id } of hosts) await this.#etcd.clear(`${this.#key}/members/${id}`);
  }

  async #documentIn({ value }: { value: unknown }): Promise<Document> {
    if (isDocument(value)) return await documentIn(value);
    const { name } = this.environment;
    throw StasisError.of("no_target", `Could not find the environment "${name}" in the directory`, {
      causes: [value === undefined ? "it has been removed" : "what stands there is not of stasis"],
      hint: `Remove it from this host as well: stasis vne rm --force ${name}`,
    });
  }
}

/** What a host knows once it has read the document. Of what it owns itself, too, the document knows more. */
export function informed(span: Span, { hosts, gone }: Document): Span {
  const own = span.hosts.filter(({ id }) => id === span.self && hosts.every((one) => one.id !== id));
  const banned = own.map((host): Host => ({ ...host, numbers: [] }));
  return { ...span, hosts: [...hosts, ...banned].sort(byName), gone, given: {}, taken: {} };
}

/** The document with numbers of one host moved to another. What it has moved already is left where it is. */
export function moved(document: Document, from: string, to: string, numbers: Numbers): Document {
  const owned = document.hosts.find(({ id }) => id === from)?.numbers ?? [];
  const moving = common(owned, numbers);
  if (moving.length === 0) return document;
  return {
    ...document,
    hosts: document.hosts.map((host) =>
      host.id === from
        ? said(host, without(host.numbers, moving))
        : host.id === to
        ? said(host, union(host.numbers, moving))
        : host
    ),
  };
}

/** The document with numbers of nobody given to a host. */
export function granted(document: Document, to: string, choose: (free: Numbers) => Numbers): Document {
  const numbers = common(document.free, choose(document.free));
  if (numbers.length === 0 || document.hosts.every(({ id }) => id !== to)) return document;
  return {
    ...document,
    free: without(document.free, numbers),
    hosts: document.hosts.map((host) => host.id === to ? said(host, union(host.numbers, numbers)) : host),
  };
}

/** The document without hosts; what they owned nobody owns. */
export function departed(document: Document, gone: readonly Gone[]): Document {
  const left = new Set(gone.map(({ id }) => id));
  const leaving = document.hosts.filter(({ id }) => left.has(id));
  if (leaving.length === 0) return document;
  return {
    ...document,
    free: union(document.free, ...leaving.map(({ numbers }) => numbers)),
    hosts: document.hosts.filter(({ id }) => !left.has(id)),
    gone: [...document.gone, ...leaving.map(({ id, name }) => ({ id, name }))],
  };
}

function said(host: Host, numbers: Numbers): Host {
  return { ...host, numbers, revision: host.revision + 1 };
}

function isDocument(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && wordIn(value) !== undefined && readNumbers(value.free) !== undefined;
}

async function documentIn(value: Record<string, unknown>): Promise<Document> {
  const environment = await cardIn(value.environment);
  const word = wordIn(value) ?? { hosts: [], gone: [] };
  return { ...word, environment, free: readNumbers(value.free) ?? [] };
}
