/** Environments, hosts, applications and links, as one would draw them on a whiteboard: plain data in, SVG out. */

import { layOut } from "./picture_layout.ts";
import { render } from "./picture_svg.ts";

/** What is to be drawn. Names are what ties its parts together. */
export interface Picture {
  environments: PictureEnvironment[];
  hosts: PictureHost[];
  applications: PictureApplication[];
}

export interface PictureEnvironment {
  name: string;
  /** In CIDR notation. */
  ranges: string[];
  /** Whether members may reach what is not of it. */
  outside: boolean;
  /** Whether what travels between hosts is encrypted. */
  encrypted: boolean;
  /** Names of the hosts that it spans. */
  hosts: string[];
}

export interface PictureHost {
  name: string;
  /** Under which other hosts reach it. */
  address?: string;
  /** Whether it is the one that draws. */
  here: boolean;
  /** Whether it has answered; if not, it is drawn as it was known last. */
  reachable: boolean;
}

/** A member of an environment. */
export interface PictureApplication {
  name: string;
  host: string;
  environment: string;
  addresses: string[];
  /** Whether it runs, or has ended and keeps its address. */
  running: boolean;
  /** Ports of its host that lead to it. */
  published: PicturePort[];
}

export interface PicturePort {
  protocol: "tcp" | "udp";
  port: number;
  host: number;
}

/** A whole SVG document. */
export function drawPicture(picture: Picture): string {
  return render(layOut(picture));
}
