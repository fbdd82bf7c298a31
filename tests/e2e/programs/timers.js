// A timer in the main thread and one in a worker, each counting; they compare notes over a message port.
const { Worker, isMainThread, parentPort } = require("node:worker_threads");

if (isMainThread) {
  const worker = new Worker(__filename);
  let ticks = 0;
  let answers = 0;
  worker.on("message", (message) => {
    if (message !== ++answers) throw new Error(`answer ${message} where ${answers} was due`);
    console.log(`round ${answers} ${ticks}`);
  });
  setInterval(() => worker.postMessage(++ticks), 20);
} else {
  let asked = 0;
  parentPort.on("message", (message) => {
    if (message !== ++asked) throw new Error(`question ${message} where ${asked} was due`);
    setTimeout(() => parentPort.postMessage(message), 5);
  });
}
