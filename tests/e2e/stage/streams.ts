/** Two applications that stream numbered blocks to each other by TCP, in both directions, and check every one. */

import { ok } from "node:assert/strict";
import { type Stage, until } from "./stage.ts";

/** Arguments: `listen` or the address of the one that listens, and the port. Says how many blocks were right, or what was wrong. */
const STREAMER = `
import hashlib, os, socket, sys, threading, time
SIZE = 8192
def block(number):
    return number.to_bytes(8, "big") + hashlib.sha256(str(number).encode()).digest() * 255 + bytes(24)
def guarded(work):
    def run():
        try:
            work()
        except BaseException as error:
            print("fail:", repr(error), flush=True)
            os._exit(1)
    return run
if sys.argv[1] == "listen":
    server = socket.create_server(("0.0.0.0", int(sys.argv[2])))
    print("ready", flush=True)
    connection, _ = server.accept()
else:
    connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def send():
    number = 0
    while True:
        connection.sendall(block(number))
        number += 1
        time.sleep(0.004)
def receive():
    number, room = 0, bytearray(SIZE)
    while True:
        there = 0
        while there < SIZE:
            more = connection.recv_into(memoryview(room)[there:])
            if more == 0: raise EOFError("the stream has ended")
            there += more
        if bytes(room) != block(number):
            raise ValueError(f"block {number} is {int.from_bytes(room[:8], 'big')}")
        number += 1
        if number % 10 == 0: print("got", number, flush=True)
threading.Thread(target=guarded(send)).start()
guarded(receive)()
`;

/** How many blocks an application has received; throws when one was wrong. */
export function received(stage: Stage, name: string): number {
  const said = Deno.readTextFileSync(logOf(stage, name));
  ok(!said.includes("fail:"), `${name}: ${said.slice(said.indexOf("fail:"))}`);
  return Number(/got (\d+)\s*$/.exec(said.trimEnd())?.[1] ?? 0);
}

/** The newest log of an application of that name; to look for it is quicker than to ask for it. */
function logOf(stage: Stage, name: string): string {
  const folder = `${stage.folder}/home/data/apps`;
  const found: { log: string; started: string }[] = [];
  const aids = [...Deno.readDirSync(folder)].flatMap((one) =>
    /^[0-9a-f]{12}$/.test(one.name) ? [one.name] : []
  );
  for (const aid of aids) {
    const meta = JSON.parse(Deno.readTextFileSync(`${folder}/${aid}/meta.json`));
    if (meta.name === name) found.push({ log: `${folder}/${aid}/log`, started: meta.started });
  }
  const [newest] = found.sort((one, other) => one.started < other.started ? 1 : -1);
  if (newest === undefined) throw new Error(`there is no application called ${name}`);
  return newest.log;
}

/** Waits until each of the applications has received more. Returns how long that took, in ms. */
export async function streamOn(stage: Stage, ...names: string[]): Promise<number> {
  const begun = performance.now();
  const before = names.map((name) => received(stage, name));
  for (const [index, name] of names.entries()) {
    await until(`${name} receive more`, () => received(stage, name) > (before[index] ?? 0) + 20 || undefined);
  }
  return performance.now() - begun;
}

/** Writes the program, and returns how it is run. */
export async function streamer(stage: Stage): Promise<string[]> {
  return ["python3", await stage.write("streamer.py", STREAMER)];
}

/** Starts both, named `left` and `right`; `options` are those of `run`. */
export async function startStreams(
  stage: Stage,
  left: { address: string; options: readonly string[] },
  right: { options: readonly string[] },
): Promise<void> {
  const program = await streamer(stage);
  await stage.stasis("run", "-d", "--name", "left", ...left.options, "--", ...program, "listen", "7000");
  await until("left run", async () => (await stage.logs("left")).includes("ready") || undefined);
  const connect = [...program, left.address, "7000"];
  await stage.stasis("run", "-d", "--name", "right", ...right.options, "--", ...connect);
  await streamOn(stage, "left", "right");
}
