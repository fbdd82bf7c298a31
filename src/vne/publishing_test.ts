import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { faultOf } from "../ui/errors.ts";
import type { Application, Network, PublishedPort } from "../../ffi/messages.ts";
import { publish, publishedBy, readPublished, requireUnpublished } from "./publishing.ts";

const SHOP: Network = {
  own: {
    links: [{
      environment: { name: "shop", id: "a1b2c3", subnets: ["10.10.2.0/24"], outside: false },
      interface: "eth0",
      addresses: ["10.10.2.1"],
    }],
  },
};

function reached(...ports: PublishedPort[]): Network {
  return publish(SHOP, ports) ?? "host";
}

/** What an error says. */
function refusal(what: () => unknown): string {
  try {
    what();
  } catch (error) {
    return (faultOf(error).causes ?? []).join();
  }
  return "";
}

Deno.test("a published port is one of the host, or any, and one of the application", () => {
  deepStrictEqual(readPublished("8080"), { protocol: "tcp", port: 8080, host: 0, auto: true });
  deepStrictEqual(readPublished("auto:53/udp"), { protocol: "udp", port: 53, host: 0, auto: true });
  deepStrictEqual(readPublished("18080:8080"), { protocol: "tcp", port: 8080, host: 18080 });
  for (const wrong of ["", "0", "65536", "0:80", "80:", ":80", "80/sctp", "1:2:3", "x:80", "-1:80"]) {
    strictEqual(readPublished(wrong), undefined, wrong);
  }
});

Deno.test("only what is in an environment can be published", () => {
  const port: PublishedPort = { protocol: "tcp", port: 80, host: 18080 };
  deepStrictEqual(publishedBy({ network: reached(port) }), [port]);
  match(refusal(() => publish(undefined, [port])), /no virtual network environment/);
  match(refusal(() => publish({ own: {} }, [port])), /no virtual network environment/);
  strictEqual(publish("host", []), "host");
});

Deno.test("a port of the host leads to one application", () => {
  const tcp: PublishedPort = { protocol: "tcp", port: 80, host: 18080 };
  const any: PublishedPort = { protocol: "tcp", port: 80, host: 18080, auto: true };
  const web: Application = {
    aid: "aa0000000000",
    name: "web",
    state: "running",
    started: "2026-01-01T00:00:00Z",
    command: [],
    network: reached(tcp),
  };
  match(refusal(() => requireUnpublished([reached(tcp)], [web])), /tcp port 18080 .*application "web"/);
  match(refusal(() => requireUnpublished([reached(tcp), reached(tcp)], [])), /two applications/);
  requireUnpublished([reached(any), reached(any)], [web]);
  requireUnpublished([reached({ ...tcp, protocol: "udp" })], [web]);
  requireUnpublished([reached(tcp)], [{ ...web, state: "exited" }]);
});
