import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { catalogues, place } from "../messenger/build/catalogues.ts";
import { notice } from "../messenger/build/notice.ts";
import { contracts } from "./build/contracts.ts";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  plugins: [
    react(),
    catalogues(here("locales"), here("../messenger/locales/names.json")),
    contracts(here("../../allium/staking/abi")),
    notice(here("..")),
  ],
  // In place of a package that keeps little and brings much.
  resolve: { alias: { "@walletconnect/keyvaluestorage": here("src/wallet/kept.ts") } },
  build: {
    outDir: here("../../allium/portal/page"),
    emptyOutDir: true,
    target: "es2024",
    // No data: URIs for what is ours.
    assetsInlineLimit: 0,
    rollupOptions: {
      output: { chunkFileNames: place },
      onwarn: (warning) => {
        // Hints for minifiers in packages, at places where they have no effect.
        if (warning.code === "INVALID_ANNOTATION") return;
        throw new Error(warning.message);
      },
    },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8002", "/config.json": "http://127.0.0.1:8002" } },
});
