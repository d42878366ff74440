// Builds the dashboard into crates/control/dashboard, from where the admin listener serves it, and its unit tests into target/dashboard-tests.
import { readdirSync } from "node:fs";
import { defineConfig } from "vite";
import { sealed } from "./build/sealed.ts";

/** The first with light-dark(), all from before the summer of 2024. */
const BROWSERS = ["chrome123", "firefox120", "safari17.5"];

/** Where the built files go; somewhere else to see whether they are those that are committed. */
const out = process.env["DASHBOARD_OUT"] ?? "../crates/control/dashboard";

export default defineConfig(({ mode }) => {
  const jsx = { oxc: { jsx: { runtime: "automatic" as const, importSource: "preact" } } };
  if (mode === "test") {
    const tests = readdirSync("src", { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".test.ts"))
      .map((path) => `src/${path}`);
    const build = { ssr: true, outDir: "../target/dashboard-tests", emptyOutDir: true, target: "node20" };
    return { ...jsx, build: { ...build, rolldownOptions: { input: tests, output: { entryFileNames: "[name].mjs" } } } };
  }
  return {
    ...jsx,
    // The page may be served below another path, by a proxy that takes the path away.
    base: "./",
    plugins: [sealed()],
    build: { outDir: out, emptyOutDir: true, target: "es2022", cssTarget: BROWSERS, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  };
});
