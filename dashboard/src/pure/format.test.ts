import assert from "node:assert/strict";
import { test } from "node:test";
import { ago, count, duration, left, millis, percent, plural, rate, span } from "./format";

test("counts are short", () => {
  assert.deepEqual([0, 999, 1000, 12_345, 5_600_000, 7e9].map(count), ["0", "999", "1.0k", "12k", "5.6M", "7.0G"]);
  assert.deepEqual([null, 0, 0.25, 9.96, 250].map(rate), ["–", "0", "0.3", "10.0", "250"]);
  assert.deepEqual([plural(1, "backend"), plural(2, "backend")], ["1 backend", "2 backends"]);
});

test("a share that is not nothing does not look like nothing", () => {
  const shares = [null, 0, 0.00001, 0.0012, 0.025, 0.5, 1];
  assert.deepEqual(shares.map(percent), ["–", "0 %", "< 0.01 %", "0.12 %", "2.5 %", "50 %", "100 %"]);
});

test("latencies have the digits that matter", () => {
  assert.deepEqual([null, 0.25, 3.21, 42.4, 1234, 12_345].map(millis), ["–", "0.25 ms", "3.2 ms", "42 ms", "1.2 s", "12 s"]);
});

test("spans have two units", () => {
  const spans = [-5, 400, 59_000, 60_000, 95_000, 3_600_000, 7_500_000, 90_000_000];
  assert.deepEqual(spans.map(span), ["0 s", "0 s", "59 s", "1 min", "1 min 35 s", "1 h", "2 h 5 min", "1 d 1 h"]);
});

test("durations of the API are spans", () => {
  assert.deepEqual(["0s", "1801s", "90m", "2d", "250ms", "soon"].map(duration), ["0 s", "30 min 1 s", "1 h 30 min", "2 d", "0 s", "soon"]);
});

test("times are told from now", () => {
  const now = Date.parse("2026-01-01T00:01:00Z");
  assert.equal(ago("2026-01-01T00:00:59.5Z", now), "just now");
  assert.equal(ago("2026-01-01T00:00:00Z", now), "1 min ago");
  assert.equal(left("2026-01-01T00:01:30Z", now), "30 s");
});
