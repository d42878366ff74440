#!/usr/bin/env python3
"""Writes what the program is made of as CycloneDX 1.5 (JSON) to standard output: every crate, its source, checksum, licence and needs.

From Cargo.lock and `cargo metadata`, so that it is the same wherever it is written. Crates that only build or test are left out.
"""

import datetime
import json
import os
import subprocess
import sys
import tomllib

TARGET = "x86_64-unknown-linux-gnu"


def main() -> None:
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", TARGET]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    with open("Cargo.lock", "rb") as file:
        locked = {(one["name"], one["version"]): one.get("checksum") for one in tomllib.load(file)["package"]}
    root = next(id for id in metadata["workspace_members"] if packages[id]["name"] == "cutover")

    needs: dict[str, list[str]] = {}
    pending = [root]
    while pending:
        id = pending.pop()
        if id not in needs:
            needs[id] = [dep["pkg"] for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
            pending.extend(needs[id])

    at = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    order = sorted(needs, key=lambda id: ref(packages[id]))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(packages[root], locked) | {"type": "application"},
        },
        "components": [component(packages[id], locked) for id in order if id != root],
        "dependencies": [
            {"ref": ref(packages[id]), "dependsOn": sorted({ref(packages[need]) for need in needs[id]})} for id in order
        ],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def ref(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package: dict, locked: dict) -> dict:
    made = {"type": "library", "bom-ref": ref(package), "name": package["name"], "version": package["version"]}
    if licence := package["license"]:
        # What crates wrote before there were expressions.
        made["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if checksum := locked[package["name"], package["version"]]:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        made["purl"] = ref(package)
    return made


if __name__ == "__main__":
    main()
