/** Environments whose hosts encrypt what they send to each other. */

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import { Land, refusal } from "./stage/land.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes network environments)" : "";

Deno.test({
  name: `what goes from host to host is encrypted, or refused where a kernel cannot${why}`,
  ignore,
  async fn() {
    await using land = await Land.open(3);
    const file = await land.town("a").host.stage.write("secret", "5a".repeat(32));
    const options = ["--self", "a", "--peer", "b=172.31.0.2", ...land.ways];
    match(
      await refusal(land.town("a"), "vne", "create", "bank", "--subnet", "10.10.3.0/24", "--secret", file),
      /--encrypt/,
    );
    const encrypted = ["--subnet", "10.10.2.0/24", "--encrypt", "--secret", file, ...options];
    const { code, stderr } = await land.town("a").host.stage.attempt("vne", "create", "shop", ...encrypted);
    if (code === 12) {
      match(stderr, /ESP[^]*It was made on no host/);
      for (const name of ["a", "b"]) deepStrictEqual(await land.remains(name), []);
      return;
    }
    strictEqual(code, 0, stderr);
    strictEqual((await land.show("b", "shop")).mtu, 1410);
    await land.join("c", "shop", "b");
    await land.town("a").serve("web", "shop");
    await land.town("c").serve("store", "shop");
    strictEqual(await land.town("c").hears("store", "10.10.2.1"), "web 1");
    match(await land.town("c").host.must("ip", "xfrm", "state"), /rfc4106\(gcm\(aes\)\)/);
  },
});
