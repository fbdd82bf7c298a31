import { deepStrictEqual, match, rejects, strictEqual } from "node:assert/strict";
import { StasisError } from "../../ffi/error.ts";
import { Conversation } from "./conversation.ts";
import { FrameReader, FrameWriter } from "./frames.ts";
import { sessionForTests } from "./workbench.ts";

/** A remote shell that pays no heed to host and program: it runs the workbench. */
const RSH = `${Deno.execPath()} run -A --no-check ${new URL("workbench.ts", import.meta.url).pathname}`;

function open(rsh = RSH, host = "web2"): Promise<Conversation> {
  return Conversation.open(sessionForTests(), { host, rsh });
}

function fault(expected: RegExp): (error: unknown) => true {
  return (error) => {
    match(error instanceof StasisError ? JSON.stringify(error.fault) : String(error), expected);
    return true;
  };
}

Deno.test("another host answers, and its faults come under its name", async () => {
  await using there = await open();
  strictEqual(await there.ask("double", 21), 42);
  await rejects(there.ask("fail", null), fault(/"refused".*web2: Could not do it.*it is a test/));
  await rejects(there.ask("unheard-of", null), fault(/does not know it/));
  strictEqual(await there.ask("double", 4), 8);
});

Deno.test("both sides speak while a question is being answered", async () => {
  await using there = await open();
  const sums: unknown[] = [];
  const large = new Uint8Array(3 << 20).fill(1);
  const answer = await there.ask("sum", null, async (talk) => {
    await talk.send(new Uint8Array([1, 2, 3]));
    await talk.send(large);
    for (let at = 0; at < 4; at++) {
      const heard = await talk.hear();
      if ("value" in heard) sums.push(heard.value);
    }
    await talk.say("done");
  });
  deepStrictEqual(sums, [6, 6 + (1 << 20), 6 + (2 << 20), 6 + (3 << 20)]);
  strictEqual(answer, 6 + (3 << 20));
});

Deno.test("the other host undoes what it has begun when this one fails or goes away", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const failing = await open();
    const refusal = failing.ask(
      "wait",
      `${folder}/failed`,
      () => Promise.reject(StasisError.of("other", "No more")),
    );
    await rejects(refusal, fault(/No more/));
    await failing[Symbol.asyncDispose]();
    strictEqual(await Deno.readTextFile(`${folder}/failed`), "undone true");
    const killed = await open();
    const lost = killed.ask("wait", `${folder}/killed`);
    killed.child.kill("SIGKILL");
    await rejects(lost, fault(/Lost the connection with web2/));
    await rejects(killed.ask("double", 1), fault(/Lost the connection/));
    await killed[Symbol.asyncDispose]();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what keeps a remote shell from working is told", async () => {
  await rejects(open("sh -c no-such-program"), fault(/no-such-program.*not found/));
  await rejects(open("/nowhere/rsh"), fault(/Could not reach stasis on web2.*nowhere/));
  await rejects(open("sh -c exit\\ 3"), fault(/Could not reach/));
  await rejects(open("echo"), fault(/does not speak as stasis does.*web2 stasis peer/));
  await rejects(open(RSH, "-oProxyCommand=evil"), fault(/Could not use the host/));
});

Deno.test("a remote shell that never answers is given up", async () => {
  const waiting = Conversation.open(sessionForTests(), { host: "web2", rsh: "tail -f /dev/null --" }, 100);
  await rejects(waiting, fault(/Could not reach stasis on web2/));
});

Deno.test("frames that are too long, of no kind or cut off are refused", async () => {
  const magic = "stasis1\n";
  const read = async (...bytes: number[]) => {
    const all = new Uint8Array([...new TextEncoder().encode(magic), ...bytes]);
    await new FrameReader(new Blob([all]).stream()).next();
  };
  await rejects(read(0x4a, 0xff, 0xff, 0xff, 0xff), fault(/too long/));
  await rejects(read(0x42, 0, 0x20, 0, 0), fault(/too long/));
  await rejects(read(0x21, 0, 0, 0, 0), fault(/unknown kind/));
  await rejects(read(0x4a, 0, 0, 0, 9, 0x7b), fault(/in the middle/));
  await rejects(read(0x4a, 0, 0), fault(/in the middle/));
  await rejects(read(0x4a, 0, 0, 0, 1, 0x7b), fault(/no JSON/));
  await read();
  const { readable, writable } = new TransformStream<Uint8Array>();
  const writer = new FrameWriter(writable);
  const reader = new FrameReader(readable);
  const [, frame] = await Promise.all([writer.value({ a: "ü" }).then(() => writer.close()), reader.next()]);
  deepStrictEqual(frame, { value: { a: "ü" } });
  strictEqual(await reader.next(), undefined);
});
