// What goes beside the built files: which sources they were made of, and what the Rust side embeds.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Plugin } from "vite";

/** Everything that decides what is built, without what npm installs. */
const SOURCES = ["build", "index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

/** How the admin listener names what it serves. */
const TYPES: Record<string, string> = { css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8", svg: "image/svg+xml" };

/** Writes `sources.sha256` and `files.inc` when the build is done. */
export function sealed(): Plugin {
  let out = "";
  return {
    name: "sealed",
    apply: "build",
    configResolved(config) {
      out = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      const sources = SOURCES.flatMap(filesOf).sort();
      const lines = sources.map((path) => `${sha256(path)}  ${path}\n`);
      writeFileSync(join(out, "sources.sha256"), lines.join(""));
      const assets = readdirSync(join(out, "assets")).sort();
      writeFileSync(join(out, "files.inc"), `// Written by the build of the dashboard.\n[\n${assets.map(entry).join("")}]\n`);
    },
  };
}

/** The files at `path`, which is one or a folder of them. */
function filesOf(path: string): string[] {
  try {
    return readdirSync(path).flatMap((name) => filesOf(`${path}/${name}`));
  } catch {
    return [path];
  }
}

function sha256(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** One file as the Rust side reads it. */
function entry(name: string): string {
  const kind = TYPES[name.slice(name.lastIndexOf(".") + 1)];
  if (kind === undefined) throw new Error(`${name}: say in TYPES what it is`);
  return `    ("${name}", "${kind}", include_bytes!("assets/${name}")),\n`;
}
