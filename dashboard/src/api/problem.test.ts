import assert from "node:assert/strict";
import { test } from "node:test";
import { Unreachable, reasonsOf, refusal } from "./problem";

const REASONS = [
  { code: "quorum_count", detail: "1 of 2 needed backends are usable" },
  { code: "frozen", detail: "web is frozen: black friday" },
];

test("a refusal keeps all of its reasons", () => {
  const refused = refusal(409, JSON.stringify({ title: "Conflict", status: 409, detail: "the flip was refused", reasons: REASONS }));
  assert.deepEqual([refused.status, refused.message], [409, "the flip was refused"]);
  assert.deepEqual(reasonsOf(refused), REASONS);
});

test("what a proxy in between says is a reason too", () => {
  for (const text of ["<html>Bad Gateway</html>", "", "null", "[]", '{"detail":5}']) {
    assert.deepEqual(reasonsOf(refusal(503, text)), [{ code: "refused", detail: "answered with status 503" }], text);
  }
});

test("nobody answering is no refusal", () => {
  assert.deepEqual(reasonsOf(new Unreachable("gone")), [{ code: "unreachable", detail: "gone" }]);
});
