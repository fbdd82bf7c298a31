/**
 * Checks that `unsafe` stands only where it may: in the crates that are there to hold it (docs/architecture.md). Every other
 * crate must say `#![forbid(unsafe_code)]`, so that the compiler checks it too.
 */

import { fileURLToPath } from "node:url";

const CRATES = fileURLToPath(new URL("../native/crates", import.meta.url));
const ROOMS = ["sys", "boundary", "preload"];
/** In this crate the image alone; its logic is a safe library. */
const IMAGE = "interpose/src/image/";

const faults = [...Deno.readDirSync(CRATES)].filter((entry) =>
  entry.isDirectory && !ROOMS.includes(entry.name)
)
  .flatMap((entry) => checkCrate(`${CRATES}/${entry.name}`));
for (const fault of faults) console.error(fault);
if (faults.length > 0) Deno.exit(1);

function checkCrate(crate: string): string[] {
  const roots = ["lib", "main"].map((name) => `${crate}/src/${name}.rs`).filter(exists);
  const open = roots.filter((root) => !/^#!\[forbid\(unsafe_code\)\]$/m.test(Deno.readTextFileSync(root)));
  return [
    ...open.map((root) => `${root}: does not forbid unsafe code`),
    ...sources(crate).filter((path) => !path.includes(IMAGE)).flatMap(unsafeLines),
  ];
}

/** Lines with the keyword, outside of line comments and of the name of the lint. */
function unsafeLines(path: string): string[] {
  return Deno.readTextFileSync(path).split("\n").flatMap((line, index) => {
    const code = line.replace(/\/\/.*/, "").replace(/"([^"\\]|\\.)*"/g, '""');
    return /\bunsafe\b/.test(code)
      ? [`${path}:${index + 1}: unsafe outside of ${[...ROOMS, IMAGE].join(", ")}`]
      : [];
  });
}

function sources(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return entry.name === "target" ? [] : sources(path);
    return entry.name.endsWith(".rs") ? [path] : [];
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
