/** Applications that were started where other file systems were mounted than there are now. */

import { strictEqual } from "node:assert/strict";
import { Stage } from "./stage/stage.ts";

const ignore = Deno.uid() !== 0;
const why = ignore ? " (skipped: only root makes mount namespaces)" : "";

Deno.test({
  name: `an application goes on whose files were opened in a mount namespace that is gone${why}`,
  ignore,
  async fn() {
    await using stage = await Stage.open();
    // As "ip netns exec" does. Its standard input is /dev/null of that namespace's /dev.
    stage.within = ["unshare", "--mount", "--"];
    await stage.run("guest", "sleep", "1000");
    stage.within = [];
    await stage.roundTrip("guest");
    const { pid } = await stage.application("guest");
    strictEqual(await Deno.readLink(`/proc/${pid}/fd/0`), "/dev/null");
  },
});
