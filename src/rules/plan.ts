import { StasisError } from "../../ffi/error.ts";
import type { Inspection, Network, PublishedPort, Tcp } from "../../ffi/messages.ts";
import { checkName, freeName } from "../catalog/names.ts";
import { filesOf } from "./classes.ts";
import { absolute, customise, type Customising } from "./customising.ts";
import { isWithin } from "./inside.ts";
import type { Path } from "./positions.ts";
import type { Mistake, Rules } from "./rules.ts";
import { expand, variablesIn } from "./text.ts";
import type { Places } from "../vne/joining.ts";
import { parsePublished } from "../vne/publishing.ts";

/** Everything that is decided about one clone before it is made. */
export interface Plan {
  number: number;
  name: string;
  hostname: string;
  files: Record<string, string>;
  tcp?: Tcp;
  /** As it was in the snapshot, where nothing is said. */
  network?: Network;
  /** The environment and the address that the rules give it. */
  vne?: string;
  address?: string;
  /** Ports of the host that lead to it. */
  publish: PublishedPort[];
  signal?: number;
  before: string[][];
  after: string[][];
  insideBefore: string[][];
  insideAfter: string[][];
  customising: Customising;
}

/** What the command line says about clones. */
export interface Wishes {
  template: string;
  count: number;
  /** `--name`. */
  name?: string;
  /** `--set`. */
  set: Readonly<Record<string, string>>;
  /** Names of applications that run. */
  taken: ReadonlySet<string>;
  /** Network addresses of the clones, in their order, where they have some of their own. */
  addresses?: readonly (string | undefined)[];
}

/** Linux takes no longer one. */
const LONGEST_HOSTNAME = 64;

/** Plans all clones of one command; nothing has happened yet when this refuses. */
export function planClones(
  rules: Rules,
  wishes: Wishes,
  named: readonly Named[] = nameClones(rules, wishes),
): Plan[] {
  return named.map((one, index) => {
    const values = valuesFor(rules, wishes, one, wishes.addresses?.[index]);
    return planClone(rules, one.number, one.name, values);
  });
}

/** Where the rules put each clone: the same environment, and the address of each where they say one. */
export function placesFor(rules: Rules, wishes: Wishes, named: readonly Named[]): Places {
  const addresses = named.map((one) =>
    rules.address === undefined ? undefined : expand(rules.address, valuesFor(rules, wishes, one))
  );
  const [first] = named;
  if (rules.vne === undefined || first === undefined) return { addresses };
  return { vne: expand(rules.vne, valuesFor(rules, wishes, first)), addresses };
}

/** What variables stand for in the texts of one clone. */
function valuesFor(
  rules: Rules,
  { set, template }: Wishes,
  { number, name, uuid }: Named,
  address?: string,
): Map<string, string> {
  return new Map(Object.entries({
    ...givenBy(rules, set),
    template,
    n: String(number),
    name,
    uuid,
    ...(address !== undefined && { address }),
  }));
}

function givenBy(rules: Rules, set: Wishes["set"]): Record<string, string> {
  const undeclared = Object.keys(set).find((name) => !(name in rules.variables));
  if (undeclared !== undefined) throw unknownVariable(undeclared, rules);
  return { ...rules.variables, ...set };
}

/**
 * What is wrong with rules for this snapshot: a path that no process has, which would do nothing; and a UNIX socket, which keeps
 * its path.
 */
export function mistakesFor(rules: Rules, inspection: Inspection): Mistake[] {
  return [...mistakesInPaths(rules, inspection), ...mistakesInChoices(rules, inspection)];
}

function mistakesInPaths(rules: Rules, inspection: Inspection): Mistake[] {
  const files = filesOf(inspection);
  return Object.keys(rules.paths).flatMap((old) => {
    const path = ["paths", old];
    const bound = inspection.unix_names.find((name) => isWithin(name, old));
    if (bound !== undefined) {
      return [{ path, problem: `the UNIX socket "${bound}" is bound there, and keeps its path` }];
    }
    const used = files.some((file) => isWithin(file, old)) || isThere(old);
    const problem = `no process has "${old}", or a file in it, open or mapped, and it is not on this host`;
    return used ? [] : [{ path, problem }];
  });
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Processes, and what is to be left out, that the snapshot does not have. */
function mistakesInChoices(rules: Rules, { processes }: Inspection): Mistake[] {
  const names = new Set(processes.map(({ comm }) => comm));
  const stranger = ({ process }: { process?: string }, path: Path): Mistake[] =>
    process === undefined || names.has(process)
      ? []
      : [{ path, problem: `no process is called "${process}": there is ${[...names].join(", ")}` }];
  const descriptors = processes.flatMap((process) => process.descriptors);
  const kinds = new Set(descriptors.map(({ kind }) => kind));
  const { leaveOut } = rules;
  return [
    ...rules.environment.flatMap((one) => stranger(one, ["environment", one.name])),
    ...rules.arguments.flatMap((one) => stranger(one, ["arguments", one.find])),
    ...leaveOut.kinds.flatMap((kind, index) => {
      const problem = `no descriptor is of the kind "${kind}": there is ${[...kinds].join(", ")}`;
      return kinds.has(kind) ? [] : [{ path: ["leave_out", "kinds", index], problem }];
    }),
    ...leaveOut.paths.flatMap((old, index) => {
      const used = old.includes("{") || descriptors.some(({ detail }) => isWithin(detail, old));
      const path = ["leave_out", "paths", index];
      return used ? [] : [{ path, problem: `no process has "${old}", or a file in it, open` }];
    }),
  ];
}

/** An error names the clone whose values are wrong: those of the others may do. */
function planClone(rules: Rules, number: number, name: string, values: ReadonlyMap<string, string>): Plan {
  try {
    return fillIn(rules, number, name, values);
  } catch (error) {
    if (!(error instanceof StasisError)) throw error;
    const { fault } = error;
    const message = `Could not use the rules for the clone "${name}", number ${number}`;
    throw new StasisError({ ...fault, message, causes: [fault.message, ...(fault.causes ?? [])] });
  }
}

function fillIn(rules: Rules, number: number, name: string, values: ReadonlyMap<string, string>): Plan {
  const fill = (text: string) => {
    if (variablesIn(text).includes("address") && !values.has("address")) throw withoutAddress(text);
    return expand(text, values);
  };
  const command = (words: readonly string[]) => words.map(fill);
  const files = Object.fromEntries(
    Object.entries(rules.paths).map(([old, current]) => [old, absolute(fill(current), `"${old}"`)]),
  );
  return {
    number,
    name,
    hostname: checkHostname(fill(rules.hostname ?? "{name}")),
    files,
    ...(rules.vne !== undefined && { vne: fill(rules.vne) }),
    ...(rules.address !== undefined && { address: fill(rules.address) }),
    publish: parsePublished(rules.publish.map(fill)),
    ...(rules.tcp !== undefined && { tcp: rules.tcp }),
    ...(rules.signal !== undefined && { signal: rules.signal }),
    before: rules.before.map(command),
    after: rules.after.map(command),
    insideBefore: rules.insideBefore.map(command),
    insideAfter: rules.insideAfter.map(command),
    customising: customise(rules, files, fill),
  };
}

/** What tells one clone from the others. */
export interface Named {
  number: number;
  name: string;
  uuid: string;
}

/**
 * A pattern with {n} or {uuid} names every clone; any other text is the name of a single clone, and gets `-1`, `-2` behind it
 * for many. Names that are taken are passed over, except where the user has chosen the name.
 */
export function nameClones(rules: Rules, wishes: Wishes): Named[] {
  const given = givenBy(rules, wishes.set);
  const pattern = wishes.name ?? rules.name ?? "{template}";
  const varies = wishes.name === undefined &&
    variablesIn(pattern).some((name) => name === "n" || name === "uuid");
  const taken = new Set(wishes.taken);
  const named: Named[] = [];
  for (let number = 1; named.length < wishes.count; number++) {
    const uuid = crypto.randomUUID();
    const values = new Map(Object.entries({ ...given, template: wishes.template, n: String(number), uuid }));
    const base = wishes.name ?? expand(pattern, values);
    const many = wishes.count > 1;
    const name = checkName(varies || !many ? base : `${base}-${number}`);
    if (taken.has(name) && wishes.name !== undefined) throw nameTaken(name);
    const free = varies || many ? name : freeName(name, taken);
    if (!taken.has(free)) named.push({ number, name: free, uuid });
    taken.add(free);
  }
  return named;
}

function withoutAddress(text: string): StasisError {
  return StasisError.of("usage", `Could not fill in "${text}"`, {
    causes: ["the clone is given no network address"],
    hint: "Make it in a virtual network environment (--vne), or use another variable",
  });
}

function nameTaken(name: string): StasisError {
  return StasisError.of("usage", `Could not name a clone "${name}"`, {
    causes: ["an application of this name is running"],
    hint: "Choose another --name, or stop that application first",
  });
}

function unknownVariable(name: string, rules: Rules): StasisError {
  const known = Object.keys(rules.variables);
  return StasisError.of("usage", `Could not set the variable "${name}"`, {
    causes: ["the rules of the template declare no such variable"],
    hint: known.length === 0 ? "They declare none under [variables]" : `They declare ${known.join(", ")}`,
  });
}

function checkHostname(hostname: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(hostname) && hostname.length <= LONGEST_HOSTNAME) {
    return hostname;
  }
  throw StasisError.of("usage", `Could not use "${hostname}" as a host name`, {
    causes: [`a host name has up to ${LONGEST_HOSTNAME} letters, digits, ".", "_" and "-"`],
    hint: 'Set "hostname" in the rules of the template',
  });
}
