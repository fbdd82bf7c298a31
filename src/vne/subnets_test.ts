import { deepStrictEqual, match, strictEqual, throws } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import {
  formatAddress,
  formatSubnet,
  isWithin,
  memberNumbers,
  numberOf,
  overlap,
  parseAddress,
  parseSubnet,
} from "./subnets.ts";

Deno.test("addresses are read, and written in one way", () => {
  const pairs = [
    ["10.10.2.7", "10.10.2.7"],
    ["FD73:7461:7369:0:0:0:0:1", "fd73:7461:7369::1"],
    ["::", "::"],
    ["::1", "::1"],
    ["fe80::", "fe80::"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["10:0:0:1:0:0:0:0", "10:0:0:1::"],
  ] as const;
  for (const [given, written] of pairs) {
    const address = parseAddress(given);
    strictEqual(address === undefined ? undefined : formatAddress(address), written);
  }
  for (
    const wrong of [
      "",
      "10.10.2",
      "10.10.2.256",
      "10.10.2.07",
      "1::2::3",
      "1:2:3",
      "g::",
      "1:2:3:4:5:6:7::8",
      ":1",
    ]
  ) {
    strictEqual(parseAddress(wrong), undefined, wrong);
  }
});

Deno.test("a range has no bits behind its prefix", () => {
  strictEqual(formatSubnet(parseSubnet("10.10.2.0/24")), "10.10.2.0/24");
  strictEqual(formatSubnet(parseSubnet("fd73:7461:7369:2::/64")), "fd73:7461:7369:2::/64");
  throws(() => parseSubnet("10.10.2.7/24"), (error) => {
    match(error instanceof StasisError ? error.fault.hint ?? "" : "", /10\.10\.2\.0\/24 .* 10\.10\.2\.7\/32/);
    return true;
  });
  for (const wrong of ["10.10.2.0", "10.10.2.0/33", "10.10.2.0/24/1", "10.10.2.0/", "x/8", "fd00::/129"]) {
    throws(() => parseSubnet(wrong), StasisError, wrong);
  }
});

Deno.test("members of a range are numbered", () => {
  const range = parseSubnet("10.10.2.0/24");
  const number = (text: string) => numberOf(range, parseAddress(text) ?? { version: 4, value: 0n });
  deepStrictEqual([number("10.10.2.7"), number("10.10.3.7"), number("::7")], [7n, undefined, undefined]);
  deepStrictEqual(memberNumbers(range), [1n, 254n]);
  deepStrictEqual(memberNumbers(parseSubnet("10.10.0.1/32")), [0n, 0n]);
  deepStrictEqual(memberNumbers(parseSubnet("10.10.0.0/31")), [0n, 1n]);
  deepStrictEqual(memberNumbers(parseSubnet("fd00::/120")), [1n, 255n]);
});

Deno.test("ranges overlap when one is within the other", () => {
  const wide = parseSubnet("10.10.0.0/16");
  strictEqual(isWithin(parseSubnet("10.10.2.0/24"), wide), true);
  strictEqual(isWithin(wide, parseSubnet("10.10.2.0/24")), false);
  strictEqual(overlap(wide, parseSubnet("10.10.2.0/24")), true);
  strictEqual(overlap(parseSubnet("10.10.2.0/24"), parseSubnet("10.10.3.0/24")), false);
  strictEqual(overlap(wide, parseSubnet("::/0")), false);
});
