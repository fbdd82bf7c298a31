import type { Layout } from "./unpack.ts";

/** Where an image keeps copies of the application's own folders. */
const VOLUMES = "image/volumes";

export const TEMPLATE: Layout = {
  files: ["rules.toml"],
  folders: ["image"],
  volumes: [VOLUMES],
};

export const SNAPSHOT: Layout = { files: [], folders: ["image"], volumes: [VOLUMES] };
