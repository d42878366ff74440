// Where a rollback would lead.
import type { Service, Version } from "../api/types";

/** The version that was active before, if it still has usable backends; cutover itself decides whether it may be gone back to. */
export function previous<V extends Pick<Version, "version" | "role" | "epoch" | "usable_backends">>(
  service: Pick<Service, "active">,
  versions: readonly V[],
): V | null {
  const before = versions.filter(
    ({ version, role, epoch, usable_backends }) =>
      version !== service.active && epoch !== null && usable_backends > 0 && (role === "draining" || role === "drained"),
  );
  return before.reduce<V | null>((latest, version) => ((version.epoch ?? 0) > (latest?.epoch ?? -1) ? version : latest), null);
}
