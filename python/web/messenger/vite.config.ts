import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { catalogues } from "./build/catalogues.ts";
import { emojiData } from "./build/emoji.ts";
import { notice } from "./build/notice.ts";
import { serviceWorker } from "./build/worker.ts";
import { world } from "./build/world.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  plugins: [react(), catalogues(here("locales")), emojiData(), notice(here("..")), world(), serviceWorker()],
  resolve: {
    // It locks scrolling with a style element, which the Content-Security-Policy refuses; our page does not scroll.
    alias: { "react-remove-scroll": here("src/shell/no-scroll-lock.tsx") },
  },
  build: {
    outDir: here("../../allium/messenger/page"),
    emptyOutDir: true,
    target: "es2024",
    // No data: URIs, which the Content-Security-Policy would have to allow.
    assetsInlineLimit: 0,
    rollupOptions: {
      onwarn: (warning) => {
        throw new Error(warning.message);
      },
    },
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:7477", ws: true } } },
});
