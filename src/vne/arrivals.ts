/** Applications that are about to be made, by this and other commands: they are found by name before their first instruction. */

import { isAlive, type Maker, readJson, replaceJson, self } from "./files.ts";

/** What an application is called, and where it is found. */
export interface Named {
  name: string;
  /** Where it is not the name. */
  hostname?: string;
  addresses: string[];
}

type Arrival = Named & Maker;

/** Those whose commands still run. Call this and the others under the lock of the environment's names. */
export function arrivalsIn(folder: string): Named[] {
  return read(folder);
}

export function noteArrivals(folder: string, arrivals: readonly Named[]): void {
  write(folder, [...read(folder), ...arrivals.map((one) => ({ ...one, ...self() }))]);
}

/** Forgets those that this command has noted: what came to life has a record of its own. */
export function dropArrivals(folder: string, arrivals: readonly Named[]): void {
  const dropped = new Set(arrivals.flatMap(({ addresses }) => addresses));
  const isOurs = ({ pid, addresses }: Arrival) =>
    pid === Deno.pid && addresses.some((one) => dropped.has(one));
  write(folder, read(folder).filter((one) => !isOurs(one)));
}

function read(folder: string): Arrival[] {
  const found = readJson(fileOf(folder));
  return Array.isArray(found) ? found.filter(isArrival).filter(isAlive) : [];
}

function write(folder: string, arrivals: readonly Arrival[]): void {
  replaceJson(fileOf(folder), arrivals, { durable: false });
}

function fileOf(folder: string): string {
  return `${folder}/arrivals.json`;
}

/** Whether a value that was read says what an application is called. */
export function isNamed(value: unknown): value is Named {
  if (typeof value !== "object" || value === null) return false;
  const { name, hostname, addresses } = value as Partial<Record<keyof Named, unknown>>;
  return typeof name === "string" && (hostname === undefined || typeof hostname === "string") &&
    Array.isArray(addresses) && addresses.every((one) => typeof one === "string");
}

function isArrival(value: unknown): value is Arrival {
  if (!isNamed(value)) return false;
  const { pid, started } = value as Partial<Record<keyof Maker, unknown>>;
  return typeof pid === "number" && typeof started === "string";
}
