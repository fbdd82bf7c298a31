/** Colours of a picture. It brings its own paper, so that it can be read on any page. */

/** Of environments: told apart by most eyes, and strong enough on light and dark paper. */
const PALETTE = ["#2f81d6", "#d8720f", "#2a9d5c", "#a351c9", "#cf3b4b", "#0c97a6", "#a5830a", "#6f7bd9"];

/** The colour of an environment by its number; any number has one. */
export function colorOf(index: number): string {
  return PALETTE[index % PALETTE.length] ?? "";
}

/** Names begin with `st-`, since in a page they hold for all of it. */
export const STYLE = `
.st-paper{fill:#ffffff}
.st-ink{fill:#1c2128}
.st-soft{fill:#57606a}
.st-host{fill:#f4f6f8;stroke:#8b949e;stroke-width:1.5}
.st-app{fill:#ffffff;stroke-width:1.3}
.st-region{fill-opacity:.11;stroke-opacity:.45}
.st-tube{stroke:#ffffff}
.st-cloud{fill:#eef1f5;stroke:#8b949e;stroke-width:1.5}
.st-ended{opacity:.5}
@media (prefers-color-scheme:dark){
.st-paper{fill:#0f1318}
.st-ink{fill:#e8ecf1}
.st-soft{fill:#9aa5b1}
.st-host{fill:#1a2028;stroke:#6b7683}
.st-app{fill:#0f1318}
.st-region{fill-opacity:.2}
.st-tube{stroke:#0f1318}
.st-cloud{fill:#262d36;stroke:#6b7683}
}
`;
