const version = process.env.APP_VERSION;

export default {
  output: "standalone",
  deploymentId: version,
  env: { APP_VERSION: version },
  headers: () => [
    // Every answer says which version of the server made it.
    { source: "/:path*", headers: [{ key: "X-App-Version", value: version }] },
    // Pages that Next.js made ahead are for shared caches unless they say otherwise, and such an answer never carries a pin.
    { source: "/((?!_next/).*)", headers: [{ key: "Cache-Control", value: "private, no-cache" }] },
  ],
};
