/** Whether a path is a folder, or in it. */
export function isWithin(path: string, folder: string): boolean {
  const above = folder.replace(/\/+$/, "");
  return path === above || path.startsWith(`${above}/`);
}
