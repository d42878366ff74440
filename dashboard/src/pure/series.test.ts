import assert from "node:assert/strict";
import { test } from "node:test";
import { History, between, type Sample } from "./series";

function sample(requests: number, errors = 0, latencies: [number, number][] = []): Sample {
  return { requests, errors, latencies: new Map(latencies) };
}

test("what was counted between two looks is their difference", () => {
  const before = sample(100, 1, [[1000, 90], [2000, 10]]);
  const after = sample(300, 11, [[1000, 190], [2000, 107], [64_000, 3]]);
  assert.deepEqual(between(before, after, 2000), { rate: 100, errors: 0.05, p50Ms: 1, p99Ms: 64 });
});

test("without an answer there is a rate and nothing else", () => {
  assert.deepEqual(between(sample(5), sample(5), 1000), { rate: 0, errors: null, p50Ms: null, p99Ms: null });
});

test("a process that counts from nothing has no rate yet", () => {
  assert.equal(between(sample(500), sample(3), 1000).rate, null);
});

test("points look back over the window, and versions come and go", () => {
  const history = new History();
  for (let second = 0; second <= 20; second += 1) {
    const of = new Map([["v1", sample(second * 10)]]);
    if (second >= 10) of.set("v2", sample(second * 2));
    history.note(second * 1000, of);
  }
  assert.deepEqual(history.latest("v1").rate, 10);
  assert.deepEqual(history.latest("v2").rate, 2);
  assert.equal(history.of("v2").length, history.times.length);
  assert.equal(history.of("v2")[5], null);
  assert.deepEqual(history.latest("v3").rate, null);
});

test("a restart breaks the line and goes on", () => {
  const history = new History();
  for (const [at, requests] of [[0, 100], [1000, 200], [2000, 5], [3000, 15]] as const) {
    history.note(at, new Map([["v1", sample(requests)]]));
  }
  assert.equal(history.of("v1")[2]?.rate, null);
  assert.equal(history.latest("v1").rate, 10);
});

test("a long silence breaks the line", () => {
  const history = new History();
  for (const at of [0, 1000, 60_000, 61_000]) history.note(at, new Map([["v1", sample(at)]]));
  assert.deepEqual(history.of("v1").map((point) => point?.rate ?? null), [null, 1000, null, null, 1000]);
});

test("memory is bounded", () => {
  const history = new History();
  for (let at = 0; at < 2_000; at += 1) history.note(at * 1000, new Map([[at < 500 ? "v1" : "v2", sample(at)]]));
  assert.equal(history.times.length, 400);
  assert.equal(history.of("v1").every((point) => point === null), true);
});
