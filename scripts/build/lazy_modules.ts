/**
 * Lets a bundle load modules of Node at their first use. commander imports three by default import and hardly uses
 * them, and Deno takes some 30 ms to set up `node:fs` and `node:process`: more than the rest of a start.
 */

const LAZY = /^import (\w+) from "(node:(?:child_process|fs|process))";$/gm;

const LOADER = `
function loadAtFirstUse(name) {
  let loaded;
  const module = () => loaded ??= globalThis.process.getBuiltinModule(name);
  return new Proxy({}, {
    get(_, key) {
      const value = module()[key];
      return typeof value === "function" ? value.bind(module()) : value;
    },
  });
}
`;

/** The bundle with every such import replaced. Only default imports are, so that what is imported stays one object. */
export function loadLazily(bundle: string): string {
  const replaced = bundle.replaceAll(LAZY, (_, local, name) => `const ${local} = loadAtFirstUse("${name}");`);
  return replaced === bundle ? bundle : replaced + LOADER;
}
