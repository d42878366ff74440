import adapter from "@sveltejs/adapter-node";

const own = ["self"];

export default {
  kit: {
    adapter: adapter({ precompress: false }),
    version: { name: process.env.APP_VERSION },
    // Scripts are the app's own files, and SvelteKit's one in the page by its hash. The style attribute is that of SvelteKit's route announcer.
    csp: {
      mode: "hash",
      directives: { "default-src": own, "script-src": own, "style-src": [...own, "unsafe-inline"], "img-src": [...own, "data:"] },
    },
  },
};
