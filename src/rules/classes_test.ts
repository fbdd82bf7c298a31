import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { IdRow, Inspection } from "../../ffi/messages.ts";
import { classify } from "./classes.ts";
import { NO_RULES, type Rules } from "./rules.ts";

const INSPECTION: Inspection = {
  format: 1,
  label: null,
  host: {},
  hostname: "one",
  own_shared_memory: true,
  own_network: false,
  shared_bytes: 8192,
  unix_names: ["/run/x.sock"],
  processes: [{
    pid: 2,
    ppid: 0,
    pgid: 2,
    sid: 2,
    comm: "x",
    exe: "/bin/x",
    cwd: "/",
    threads: 1,
    vmas: 9,
    bytes: 4096,
    mapped: [
      { path: "/bin/x", bytes: 100, executable: true, written: false },
      { path: "/lib/c.so", bytes: 200, executable: true, written: false },
      { path: "/srv/db", bytes: 300, executable: false, written: true },
      { path: "/dev/shm/q", bytes: 300, executable: false, written: true },
    ],
    descriptors: [
      { fd: 0, kind: "regular", detail: "/dev/null", flags: "read-write" },
      { fd: 1, kind: "log", detail: "", flags: "write" },
      { fd: 3, kind: "regular", detail: "/etc/x.conf", flags: "read" },
      { fd: 4, kind: "regular", detail: "/srv/log", flags: "write,append" },
      { fd: 5, kind: "regular", detail: "/tmp/x (deleted)", flags: "read-write" },
      { fd: 6, kind: "network", detail: "", flags: "read-write" },
    ],
  }],
  sections: [],
  bytes: 1,
};

const IDS: IdRow[] = [
  { type: "process", virtual: 2, state: "live", backend: "namespace" },
  { type: "semaphores", virtual: 0, key: "0x1", state: "live", backend: "translate" },
  { type: "port", virtual: 80, key: "tcp 0.0.0.0", state: "live", backend: "host" },
];

function treatments(rules: Rules): Record<string, string> {
  return Object.fromEntries(
    classify(INSPECTION, IDS, rules).map((one) => [`${one.kind} ${one.name}`, one.treatment]),
  );
}

Deno.test("what nobody writes is shared, and everything else has a treatment", () => {
  deepStrictEqual(treatments(NO_RULES), {
    "program /bin/x": "share",
    "library /lib/c.so": "share",
    "mapped file /srv/db": "customise",
    "mapped file /dev/shm/q": "copy-on-write",
    "memory process 2 (x)": "copy-on-write",
    "shared memory anonymous and memory files": "copy-on-write",
    "open file /dev/null": "share",
    "open file /etc/x.conf": "share",
    "open file /srv/log": "customise",
    "deleted file /tmp/x": "copy-on-write",
    "log descriptor 1 of process 2": "customise",
    "network descriptor 6 of process 2": "multiplex",
    "unix socket /run/x.sock": "multiplex",
    "process 2": "virtualise",
    "semaphores 0 (key 0x1)": "virtualise",
    "port tcp 0.0.0.0 80": "multiplex",
    "hostname one": "customise",
  });
});

Deno.test("where an application has a network of its own, so has every clone", () => {
  const ports: IdRow[] = [{ type: "port", virtual: 80, key: "tcp ::", state: "live", backend: "namespace" }];
  const at: Inspection = { ...INSPECTION, own_network: true, unix_names: ["@name", "/run/x.sock"] };
  const found = classify(at, ports, NO_RULES).filter((one) => /network|port|unix/.test(one.kind));
  deepStrictEqual(found.map((one) => [one.name, one.treatment]), [
    ["descriptor 6 of process 2", "virtualise"],
    ["@name", "virtualise"],
    ["/run/x.sock", "multiplex"],
    ["tcp :: 80", "virtualise"],
  ]);
});

Deno.test("rules decide over what is known", () => {
  const rules: Rules = { ...NO_RULES, tcp: "close", paths: { "/etc": "/srv/{n}" } };
  const found = treatments(rules);
  strictEqual(found["open file /etc/x.conf"], "customise");
  const network = classify(INSPECTION, IDS, rules).find((one) => one.kind === "network");
  match(network?.why ?? "", /the rules restore connections closed/);
});

Deno.test("the class follows from the treatment, and what two processes map is told once", () => {
  const [process] = INSPECTION.processes;
  const twice = { ...INSPECTION, processes: [process!, { ...process!, pid: 3, descriptors: [] }] };
  const resources = classify(twice, IDS, NO_RULES);
  for (const one of resources) strictEqual(one.class === "shareable", one.treatment === "share", one.name);
  strictEqual(resources.filter((one) => one.name === "/lib/c.so").length, 1);
});
