import { parse } from "smol-toml";

/** A place in a text; both count from 1. */
export interface Place {
  line: number;
  column: number;
}

export type Path = readonly (string | number)[];

/**
 * Where each key and element of a TOML document stands, which the parser does not tell. It walks over a document that
 * the parser has accepted, so it need not refuse anything.
 */
export class Positions {
  readonly #text: string;
  readonly #offsets = new Map<string, number>();
  /** The newest element of every array of tables. */
  readonly #newest = new Map<string, number>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#walk();
  }

  /** The place of a key; of what encloses it when there is no such key. */
  find(path: Path): Place {
    for (let length = path.length; length > 0; length--) {
      const offset = this.#offsets.get(keyOf(path.slice(0, length)));
      if (offset !== undefined) return placeOf(this.#text, offset);
    }
    return { line: 1, column: 1 };
  }

  #walk(): void {
    let table: Path = [];
    for (this.#skipBlank(); this.#at < this.#text.length; this.#skipBlank()) {
      if (this.#peek() === "[") table = this.#header();
      else this.#assignment(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`, where an array of tables on the way stands for its newest element. */
  #header(): Path {
    const brackets = this.#text.startsWith("[[", this.#at) ? 2 : 1;
    this.#at += brackets;
    this.#skip(/[ \t]*/y);
    const start = this.#at;
    const keys = this.#keys();
    const outer = keys.slice(0, -1).reduce<Path>((path, key) => this.#enter([...path, key]), []);
    const own = [...outer, ...keys.slice(-1)];
    if (brackets === 2) this.#newest.set(keyOf(own), (this.#newest.get(keyOf(own)) ?? -1) + 1);
    const path = this.#enter(own);
    this.#note(own, start);
    this.#note(path, start);
    this.#skip(/[ \t]*\]{1,2}/y);
    return path;
  }

  #enter(path: Path): Path {
    const newest = this.#newest.get(keyOf(path));
    return newest === undefined ? path : [...path, newest];
  }

  #assignment(table: Path): void {
    const start = this.#at;
    const path = [...table, ...this.#keys()];
    this.#note(path, start);
    this.#skip(/[ \t]*=?[ \t]*/y);
    this.#value(path);
    // A document that is not what the parser saw must not keep this from ending.
    if (this.#at === start) this.#at++;
  }

  #value(path: Path): void {
    const char = this.#peek();
    if (char === "[") this.#elements("]", (index) => this.#element([...path, index]));
    else if (char === "{") this.#elements("}", () => this.#assignment(path));
    else if (char === '"' || char === "'") this.#string();
    else this.#skip(/[^,\]}#\r\n]*/y);
  }

  #element(path: Path): void {
    this.#note(path, this.#at);
    this.#value(path);
  }

  #elements(end: string, read: (index: number) => void): void {
    this.#at++;
    for (let index = 0; this.#at < this.#text.length; index++) {
      this.#skipBlank();
      if (this.#peek() === end) break;
      read(index);
      this.#skipBlank();
      if (this.#peek() === ",") this.#at++;
    }
    this.#at++;
  }

  #string(): void {
    // A string of several lines may end in up to two quotes of its own.
    this.#skip(/"""(?:\\[^]|[^\\])*?"{3,5}|'''[^]*?'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'/y);
  }

  #keys(): string[] {
    const keys: string[] = [];
    do {
      this.#skip(/[ \t]*\.?[ \t]*/y);
      keys.push(this.#key());
      this.#skip(/[ \t]*/y);
    } while (this.#peek() === ".");
    return keys;
  }

  #key(): string {
    const start = this.#at;
    if (this.#peek() !== '"' && this.#peek() !== "'") return this.#skip(/[\w-]*/y);
    this.#string();
    return Object.keys(parse(`${this.#text.slice(start, this.#at)} = 0`))[0] ?? "";
  }

  #note(path: Path, offset: number): void {
    this.#offsets.set(keyOf(path), offset);
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #skipBlank(): void {
    this.#skip(/(?:[ \t\r\n]|#[^\n]*)*/y);
  }

  #skip(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [found = ""] = pattern.exec(this.#text) ?? [];
    this.#at += found.length;
    return found;
  }
}

function keyOf(path: Path): string {
  return JSON.stringify(path);
}

function placeOf(text: string, offset: number): Place {
  const before = text.slice(0, offset);
  return { line: before.split("\n").length, column: offset - before.lastIndexOf("\n") };
}
