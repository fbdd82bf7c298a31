import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { countCargo, countJunit, sentence, skippedByCargo, skippedInJunit } from "./count.ts";

Deno.test("the results of several test executables are summed", () => {
  const output = `
test a::one ... ignored, needs a second disk
test a::inner ... ignored, dies: started by a::outer
test result: ok. 2 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out
test b::two ... ignored
test result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out
`;
  deepStrictEqual(countCargo(output), { passed: 5, failed: 1, skipped: 2 });
  deepStrictEqual(skippedByCargo(output), ["a::one (needs a second disk)", "b::two (no reason given)"]);
});

Deno.test("test cases of a JUnit file are counted by their outcome", () => {
  const xml = `<testsuites tests="4"><testsuite name="a">
    <testcase name="one" time="0.1"/>
    <testcase name="two"></testcase>
    <testcase name="three"><failure message="x">at</failure></testcase>
    <testcase name="four"><skipped/></testcase>
  </testsuite></testsuites>`;
  deepStrictEqual(countJunit(xml), { passed: 2, failed: 1, skipped: 1 });
  deepStrictEqual(skippedInJunit(xml), ["four"]);
});

Deno.test("the last line names skipped tests only when there are some", () => {
  strictEqual(sentence({ passed: 2, failed: 0, skipped: 0 }), "2 passed, 0 failed");
  strictEqual(sentence({ passed: 2, failed: 0, skipped: 3 }), "2 passed, 0 failed, 3 skipped");
});
