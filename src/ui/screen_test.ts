import { strictEqual } from "node:assert/strict";
import { Output } from "./output.ts";
import { Screen } from "./screen.ts";

function written(terminal: boolean, json: boolean, pictures: string[][]): string {
  let text = "";
  const stream = {
    terminal,
    columns: () => undefined,
    write: (more: string | Uint8Array) => void (text += more),
  };
  const screen = new Screen(new Output(stream, stream, { json }, true));
  for (const picture of pictures) screen.show(picture);
  return text;
}

Deno.test("a screen is drawn anew on a terminal, and printed elsewhere, only when it changes", () => {
  const pictures = [["a"], ["a"], ["b"]];
  strictEqual(written(false, false, pictures), "a\n\nb\n");
  strictEqual(written(false, true, pictures), "a\nb\n");
  strictEqual(written(true, false, pictures), "\x1b[H\x1b[2Ja\n\x1b[H\x1b[2Jb\n");
});
