/** What members of an environment are called on the network. */

/** Linux takes no longer host name. */
const LONGEST = 64;

/** RFC 1123: letters, digits and hyphens, none of which begins or ends a part. */
const PART = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/i;

/** Every file of names says who this is. */
const RESERVED = ["localhost", "ip6-localhost", "ip6-loopback"];

/**
 * The host name that an application of that name has in an environment: with hyphens for underscores. Undefined where that is
 * none, such as for `10` or `1.2.3.4`, which programs take for addresses, and for `localhost`.
 */
export function hostNameOf(name: string): string | undefined {
  const candidate = name.replaceAll("_", "-");
  const parts = candidate.split(".");
  const isAddress = parts.every((part) => /^(\d+|0x[0-9a-f]*)$/i.test(part));
  const isSound = candidate.length <= LONGEST && parts.every((part) => PART.test(part));
  return isSound && !isAddress && !RESERVED.includes(candidate) ? candidate : undefined;
}

/** Whether programs that read files of names find this as one word. Host names may be what no application is called. */
export function isListable(hostname: string): boolean {
  return /^[a-z0-9_][a-z0-9._-]*$/i.test(hostname) && hostname.length <= LONGEST &&
    hostNameOf(hostname) !== undefined;
}
