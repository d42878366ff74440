import assert from "node:assert/strict";
import { test } from "node:test";
import type { Role } from "../api/types";
import { previous } from "./previous";

function version(name: string, role: Role, epoch: number | null, usable_backends = 1) {
  return { version: name, role, epoch, usable_backends };
}

test("a rollback leads to the latest version before that is still warm", () => {
  const versions = [version("v4", "staged", null), version("v3", "active", 3), version("v2", "draining", 2), version("v1", "drained", 1)];
  assert.equal(previous({ active: "v3" }, versions)?.version, "v2");
});

test("what is rejected, cold or was never active is not gone back to", () => {
  const versions = [version("v5", "staged", null), version("v4", "rejected", 4), version("v3", "active", 5), version("v2", "drained", 2, 0)];
  assert.equal(previous({ active: "v3" }, versions), null);
});
