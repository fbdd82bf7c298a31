/** Reads XML of our own making, for tests: throws where it is not well-formed. */

export interface Element {
  name: string;
  attributes: Record<string, string>;
  /** What stands directly in it. */
  text: string;
}

const TOKEN = /<([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>|<\/([a-z]+)>|([^<]+)/y;
const NAMES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };

/** Every element, in the order of their beginnings. */
export function elementsOf(document: string): Element[] {
  const elements: Element[] = [];
  const open: Element[] = [];
  let at = 0;
  while (at < document.length) {
    TOKEN.lastIndex = at;
    const token = TOKEN.exec(document);
    if (token === null) throw new Error(`not well-formed at ${document.slice(at, at + 60)}`);
    at = TOKEN.lastIndex;
    const [, name, attributes = "", empty, closed, text] = token;
    if (name !== undefined) {
      if (open.length === 0 && elements.length > 0) throw new Error("two roots");
      const element = { name, attributes: attributesOf(attributes), text: "" };
      elements.push(element);
      if (empty === "") open.push(element);
    } else if (closed !== undefined) {
      if (open.pop()?.name !== closed) throw new Error(`"${closed}" ends and was not open`);
    } else if (text !== undefined) {
      const last = open.at(-1);
      if (last !== undefined) last.text += decode(text);
      else if (text.trim() !== "") throw new Error("text outside of the root");
    }
  }
  if (open.length > 0) throw new Error(`"${open.at(-1)?.name}" does not end`);
  return elements;
}

function attributesOf(text: string): Record<string, string> {
  const pairs = [...text.matchAll(/([\w:-]+)="([^"]*)"/g)].map((
    [, name = "", value = ""],
  ) => [name, decode(value)]);
  if (new Set(pairs.map(([name]) => name)).size !== pairs.length) throw new Error(`twice in ${text}`);
  return Object.fromEntries(pairs);
}

function decode(text: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\]\]>/.test(text) || !text.isWellFormed()) {
    throw new Error(`no text of XML: ${JSON.stringify(text)}`);
  }
  return text.replace(/&([^;]*;)?/g, (_, name: string = "") => {
    const char = NAMES[name.slice(0, -1)];
    if (char === undefined) throw new Error(`no entity: "&${name}"`);
    return char;
  });
}
