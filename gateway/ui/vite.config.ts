import { defineConfig } from "vite";
import { finished } from "./scripts/finished.mjs";

/** Where `npm run dev` finds a gateway. */
const gateway = process.env.DOWNDRAFT_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  // Relative addresses: the page works below any path of a proxy.
  base: "./",
  plugins: [finished()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../page",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The content security policy allows no data: fonts, and a file is cached by its hash.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": gateway, "/docs": gateway, "/healthz": gateway } },
});
