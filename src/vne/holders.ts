/** Who has which number of an environment: applications, and commands that are about to make some. */

import type { Application, NetworkLink } from "../../ffi/messages.ts";
import { isAlive, type Maker, readJson, replaceJson } from "./files.ts";
import type { Numbers } from "./shares.ts";
import { formatAddress, memberNumbers, numberOf, parseAddress, parseSubnet } from "./subnets.ts";

/** Numbers are below this (native/crates/network/src/names.rs). */
const MOST_NUMBERS = 1n << 20n;

/** An application, running or ended, that has a number. */
export interface Holder {
  name: string;
  running: boolean;
}

/** A number that a command is giving to an application. */
export interface Claim extends Maker {
  number: number;
}

/** The links of an application that lead into an environment. */
export function linksInto(
  environment: { id: string },
  { network }: Pick<Application, "network">,
): NetworkLink[] {
  if (network === "host") return [];
  return (network.own.links ?? []).filter((link) => link.environment.id === environment.id);
}

/** The applications of an environment, by their numbers. */
export function holdersOf(
  environment: { id: string; subnets: readonly string[] },
  applications: readonly Application[],
): Map<number, Holder> {
  const holders = new Map<number, Holder>();
  for (const application of applications) {
    const running = application.state === "running";
    for (const text of linksInto(environment, application).flatMap(({ addresses }) => addresses)) {
      const number = numberIn(environment, text);
      if (number === undefined || (holders.has(number) && !running)) continue;
      holders.set(number, { name: application.name, running });
    }
  }
  return holders;
}

/** The number of an address; undefined where it is none of the environment. */
export function numberIn({ subnets }: { subnets: readonly string[] }, text: string): number | undefined {
  const address = parseAddress(text);
  const numbers = address === undefined
    ? []
    : subnets.map((subnet) => numberOf(parseSubnet(subnet), address));
  const number = numbers.find((one) => one !== undefined);
  return number === undefined ? undefined : Number(number);
}

/** The addresses with a number, one in each range. */
export function addressesOf({ subnets }: { subnets: readonly string[] }, number: number): string[] {
  return subnets.map(parseSubnet).map(({ version, first }) =>
    formatAddress({ version, value: first + BigInt(number) })
  );
}

/** The numbers that members can have: those with an address in every range. */
export function allNumbers({ subnets }: { subnets: readonly string[] }): Numbers {
  const bounds = subnets.map(parseSubnet).map(memberNumbers);
  const first = bounds.reduce((most, [one]) => one > most ? one : most, 0n);
  const last = bounds.reduce((least, [, one]) => one < least ? one : least, MOST_NUMBERS - 1n);
  return [[Number(first), Number(last)]];
}

function fileOf(folder: string): string {
  return `${folder}/claims.json`;
}

/** Whether commands are giving addresses of the environment to applications. */
export function isBeingJoined(folder: string): boolean {
  return liveClaims(folder).length > 0;
}

/** The claims of commands that have not ended. */
export function liveClaims(folder: string): Claim[] {
  const claims = readJson(fileOf(folder));
  return Array.isArray(claims) ? claims.filter(isClaim).filter(isAlive) : [];
}

/** Notes who claims what. Call it under the lock of the environment. */
export function writeClaims(folder: string, claims: readonly Claim[]): void {
  replaceJson(fileOf(folder), claims, { durable: false });
}

function isClaim(value: unknown): value is Claim {
  if (typeof value !== "object" || value === null) return false;
  const { number, pid, started } = value as Partial<Record<keyof Claim, unknown>>;
  return typeof number === "number" && typeof pid === "number" && typeof started === "string";
}
