/** A program that tests ask what it sees. */

import type { Stage } from "./stage.ts";

/** Answers what stands in /dev/shm/ask by the value of it as a Python expression. Its arguments: a folder, and maybe `--port=N` to listen on. */
export const ORACLE = `
import os, socket, subprocess, sys, time
folder = sys.argv[1]
out = open(folder + "/app.log", "a")
print("begun", file=out, flush=True)
pid = open(folder + "/app.pid", "w"); print(os.getpid(), file=pid, flush=True)
listener = socket.create_server(("127.0.0.1", int(sys.argv[2].split("=")[1]))) if len(sys.argv) > 2 else None
def read(path):
    with open(path, "rb") as file: return file.read().decode()
def run(*words):
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()
print("ready", flush=True)
while True:
    try:
        with open("/dev/shm/ask") as file: asked = file.read()
        os.unlink("/dev/shm/ask")
    except OSError:
        time.sleep(0.01)
        continue
    try: answer = eval(asked)
    except Exception as error: answer = repr(error)
    with open("/dev/shm/answer.new", "w") as file: print(answer, file=file)
    os.rename("/dev/shm/answer.new", "/dev/shm/answer")
`;

/** What an application of that program says to an expression. */
export async function ask(stage: Stage, name: string, expression: string): Promise<string> {
  const script = `rm -f /dev/shm/answer; printf %s "$1" >/dev/shm/new; mv /dev/shm/new /dev/shm/ask
    while ! cat /dev/shm/answer 2>/dev/null; do sleep 0.01; done`;
  const words = ["exec", name, "--", "timeout", "20", "sh", "-c", script, "ask", expression];
  return (await stage.stasis(...words)).trimEnd();
}
