import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { catalogues, place } from "./build/catalogues.ts";
import { emojiData } from "./build/emoji.ts";
import { notice } from "./build/notice.ts";
import { serviceWorker } from "./build/worker.ts";
import { world } from "./build/world.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const monero = readFileSync(here("licences/monero.txt"), "utf8").trim();
const words = `The words of recovery phrases, as in the Python package monero\n\n${monero}\n`;
const translations = readFileSync(here("licences/translations.txt"), "utf8");

export default defineConfig({
  root: here("."),
  plugins: [
    react(),
    catalogues(here("locales")),
    emojiData(),
    notice(here(".."), ["emojibase-data"], [words, translations]),
    world(here("../../allium/geography/data/world.json")),
    serviceWorker(),
  ],
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
      output: { chunkFileNames: place },
      onwarn: (warning) => {
        throw new Error(warning.message);
      },
    },
  },
  server: { proxy: { "/api": { target: "http://127.0.0.1:7477", ws: true } } },
});
