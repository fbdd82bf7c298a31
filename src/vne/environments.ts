/** The catalogue of virtual network environments: a folder for each, which outlasts the links that are made of it. */

import { StasisError } from "../../ffi/error.ts";
import type { Environment, Home } from "../../ffi/messages.ts";
import { isFolder, makePrivateFolder } from "../catalog/home.ts";
import { checkName } from "../catalog/names.ts";
import { readJson, replaceJson } from "./files.ts";
import { checkRange, environmentsOf } from "./ranges.ts";
import { formatSubnet, overlap, parseSubnet, type Subnet } from "./subnets.ts";

/** An environment as it was made. */
export interface EnvironmentCard extends Environment {
  /** ISO 8601. */
  created: string;
}

const CARD = "environment.json";

/** Where one environment's files lie. */
export function folderOf(home: Home, name: string): string {
  return `${environmentsOf(home)}/${name}`;
}

/** What the engine gets to know of an environment. */
export function describe({ name, id, subnets, outside, mtu, apart }: EnvironmentCard): Environment {
  const optional = { ...(mtu !== undefined && { mtu }), ...(apart !== undefined && { apart }) };
  return { name, id, subnets, outside, ...optional };
}

/** Every environment, by name. What cannot be read is passed to `damaged`. */
export function listEnvironments(home: Home, damaged: (name: string) => void = () => {}): EnvironmentCard[] {
  const folder = environmentsOf(home);
  if (!isFolder(folder)) return [];
  const names = [...Deno.readDirSync(folder)].filter((one) => one.isDirectory).map((one) => one.name).sort();
  return names.flatMap((name) => {
    const card = readCard(home, name);
    if (card === undefined) damaged(name);
    return card === undefined ? [] : [card];
  });
}

/** The environment of that name. */
export function findEnvironment(home: Home, name: string): EnvironmentCard {
  const card = readCard(home, checkName(name));
  if (card !== undefined) return card;
  throw StasisError.of("no_target", `Could not find an environment "${name}"`, {
    hint: '"stasis vne ls" lists them; "stasis vne create" makes one',
  });
}

/** The card of a new environment, of this name and these ranges. */
export async function newCard(
  name: string,
  subnets: readonly Subnet[],
  outside: boolean,
  mtu?: number,
  apart?: boolean,
): Promise<EnvironmentCard> {
  checkFamilies(subnets);
  const texts = subnets.map(formatSubnet);
  const id = await idOf(checkName(name), texts);
  const created = new Date().toISOString();
  const optional = { ...(mtu !== undefined && { mtu }), ...(apart !== undefined && { apart }) };
  return { name, id, created, subnets: texts, outside, ...optional };
}

/** Other environments of this host with addresses that these ranges have too. Those that are apart from it do not count. */
export function overlapping(home: Home, subnets: readonly string[]): EnvironmentCard[] {
  const wanted = subnets.map(parseSubnet);
  const meets = (text: string) => wanted.some((one) => overlap(one, parseSubnet(text)));
  return listEnvironments(home).filter((one) => one.apart !== true && one.subnets.some(meets));
}

/** Refuses an environment that this host cannot have beside the others. */
export function checkNew(home: Home, { name, id, subnets, apart }: EnvironmentCard): void {
  const others = listEnvironments(home);
  if (others.some((one) => one.name === name)) throw nameTaken(name);
  // This host has no address in one that is apart, and no way there.
  const seen = apart === true ? [] : others.filter((one) => one.apart !== true);
  for (const subnet of subnets) checkRange(home, parseSubnet(subnet), seen);
  const same = others.find((one) => one.id === id);
  if (same !== undefined) throw idTaken(name, same.name);
}

/** Notes a new environment. Call it under the lock of the folder. */
export function addEnvironment(home: Home, card: EnvironmentCard): void {
  checkNew(home, card);
  makePrivateFolder(folderOf(home, card.name));
  replaceJson(`${folderOf(home, card.name)}/${CARD}`, card, { durable: true });
}

/** Reads the card of an environment that another host has. It is sound where the id follows from the name and the ranges. */
export async function cardIn(value: unknown): Promise<EnvironmentCard> {
  const card = isCard(value) ? value : undefined;
  const { name, id, created, subnets = [], outside = false, mtu, apart } = card ?? {};
  if (card !== undefined && typeof name === "string") {
    const own = await newCard(name, subnets.map(parseSubnet), outside, mtu, apart);
    if (own.id === id) return { ...own, created: created ?? own.created };
  }
  throw StasisError.of("other", "Could not understand which environment another host means");
}

/** Forgets an environment. */
export function dropEnvironment(home: Home, name: string): void {
  Deno.removeSync(folderOf(home, name), { recursive: true });
}

function checkFamilies(subnets: readonly Subnet[]): void {
  if (subnets.length > 0 && new Set(subnets.map(({ version }) => version)).size === subnets.length) return;
  throw StasisError.of("usage", "Could not use these ranges together", {
    causes: ["an environment has one range of IPv4, one of IPv6, or one of each"],
  });
}

/** Hosts that make the same environment give it the same id, and so the same links and link-layer addresses. */
async function idOf(name: string, subnets: readonly string[]): Promise<string> {
  const text = new TextEncoder().encode([name, ...subnets.toSorted()].join("\n"));
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return Array.from(bytes.subarray(0, 3), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function nameTaken(name: string): StasisError {
  return StasisError.of("usage", `Could not create the environment "${name}"`, {
    causes: ["there is one of this name"],
    hint: `Choose another name, or remove it first: stasis vne rm ${name}`,
  });
}

function idTaken(name: string, other: string): StasisError {
  return StasisError.of("usage", `Could not create the environment "${name}"`, {
    causes: [`by chance it would have the id of "${other}"`],
    hint: "Choose another name",
  });
}

function readCard(home: Home, name: string): EnvironmentCard | undefined {
  const card = readJson(`${folderOf(home, name)}/${CARD}`);
  return isCard(card) ? card : undefined;
}

function isCard(value: unknown): value is EnvironmentCard {
  if (typeof value !== "object" || value === null) return false;
  const { name, id, created, subnets, outside, mtu, apart } = value as Partial<
    Record<keyof EnvironmentCard, unknown>
  >;
  return typeof name === "string" && typeof id === "string" && typeof created === "string" &&
    Array.isArray(subnets) && subnets.every((one) => typeof one === "string") &&
    typeof outside === "boolean" &&
    (mtu === undefined || typeof mtu === "number") && (apart === undefined || typeof apart === "boolean");
}
