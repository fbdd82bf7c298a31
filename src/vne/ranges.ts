/** The ranges that environments of this host are made from. */

import { StasisError } from "../../ffi/error.ts";
import type { Home } from "../../ffi/messages.ts";
import { makePrivateFolder } from "../catalog/home.ts";
import { readJson, replaceJson } from "./files.ts";
import { formatSubnet, isWithin, overlap, parseSubnet, type Subnet } from "./subnets.ts";

/** Where nobody has said otherwise. */
const DEFAULT = ["10.10.0.0/16", "fd73:7461:7369::/48"];

/** This host has these addresses in every environment (native/crates/network/src/names.rs). */
const OF_THE_HOST = ["169.254.77.1/32", "fd73:7461:7369:ffff::1/128"];

/** The folder that holds this user's environments. */
export function environmentsOf(home: Home): string {
  return `${home.data}/vne`;
}

export function reservedRanges(home: Home): Subnet[] {
  const said = readJson(`${environmentsOf(home)}/.ranges.json`);
  return (isTexts(said) ? said : DEFAULT).map(parseSubnet);
}

/** Reserves other ranges. Call it under the lock of the folder. */
export function reserveRanges(home: Home, ranges: readonly Subnet[], used: readonly Subnet[]): void {
  const [outside] = used.filter((subnet) => !ranges.some((range) => isWithin(subnet, range)));
  if (outside !== undefined) {
    throw StasisError.of("usage", "Could not reserve these ranges", {
      causes: [`an environment has ${formatSubnet(outside)}, which lies in none of them`],
      hint: '"stasis vne ls" lists the environments',
    });
  }
  makePrivateFolder(environmentsOf(home));
  replaceJson(`${environmentsOf(home)}/.ranges.json`, ranges.map(formatSubnet), { durable: true });
}

/** Refuses a range for a new environment that others have, or that is not reserved. */
export function checkRange(
  home: Home,
  subnet: Subnet,
  others: readonly { name: string; subnets: string[] }[],
): void {
  const refuse = (cause: string, hint: string) =>
    StasisError.of("usage", `Could not use the range ${formatSubnet(subnet)}`, { causes: [cause], hint });
  const reserved = reservedRanges(home);
  const list = reserved.map(formatSubnet).join(" and ");
  if (!reserved.some((range) => isWithin(subnet, range))) {
    throw refuse(
      `this host reserves ${list} for environments`,
      "Choose a range in there, or reserve others: stasis vne ranges CIDR...",
    );
  }
  if (OF_THE_HOST.some((own) => overlap(subnet, parseSubnet(own)))) {
    throw refuse("this host has an address of its own in there", "Choose another range");
  }
  const taken = others.find((one) => one.subnets.some((range) => overlap(subnet, parseSubnet(range))));
  if (taken === undefined) return;
  throw refuse(
    `the environment "${taken.name}" has ${taken.subnets.join(" and ")}`,
    `Choose another range in ${list}`,
  );
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === "string");
}
