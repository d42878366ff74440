import assert from "node:assert/strict";
import { test } from "node:test";
import { EventReader } from "./sse";

const STREAM = ': hello\n\nid: 7\nevent: activated\ndata: {"a":1}\n\nevent: missed\ndata: {}\n\n';

test("events are the same wherever the stream is cut", () => {
  const expected = [
    { id: "7", event: "activated", data: '{"a":1}' },
    { id: null, event: "missed", data: "{}" },
  ];
  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const reader = new EventReader();
    const events = [...reader.read(STREAM.slice(0, cut)), ...reader.read(STREAM.slice(cut))];
    assert.deepEqual(events, expected, `cut at ${cut}`);
  }
});

test("an event that is not complete is none", () => {
  const reader = new EventReader();
  assert.deepEqual(reader.read("id: 1\ndata: x\n"), []);
  assert.deepEqual(reader.read("\n"), [{ id: "1", event: "message", data: "x" }]);
});

test("lines end in every way that the standard knows", () => {
  assert.deepEqual(new EventReader().read("data: a\r\ndata:b\r\n\r\n"), [{ id: null, event: "message", data: "a\nb" }]);
});
