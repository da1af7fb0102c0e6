/** Names the built files in the service worker, which keeps them for when the service is away. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    writeBundle(options) {
      const target = options.dir ?? "";
      const path = join(target, "worker.js");
      const files = readdirSync(join(target, "assets"))
        .filter((name) => /\.(js|css|woff2)$/.test(name))
        .map((name) => `/assets/${name}`);
      const list = JSON.stringify(["/", "/manifest.webmanifest", "/icon.svg", ...files]);
      const version = createHash("sha256")
        .update(list)
        .update(readFileSync(join(target, "index.html")))
        .digest("hex");
      const text = readFileSync(path, "utf8");
      writeFileSync(path, text.replace('"FILES"', list).replace("VERSION", version.slice(0, 12)));
    },
  };
}
