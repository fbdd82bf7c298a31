/**
 * Colours for people. A package for these few looks at the process when it is loaded, which alone costs every start of
 * the command some 25 ms.
 */

const CODES = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] } as const;

export type Colors = Record<keyof typeof CODES, (text: string) => string>;

/** Functions that paint a text, or leave it as it is. */
export function createColors(enabled: boolean): Colors {
  const painter = (name: keyof typeof CODES) => {
    const [on, off] = CODES[name];
    return (text: string): string => enabled ? `\x1b[${on}m${text}\x1b[${off}m` : text;
  };
  return {
    bold: painter("bold"),
    dim: painter("dim"),
    red: painter("red"),
    green: painter("green"),
    yellow: painter("yellow"),
  };
}
