/** Writes NOTICE beside the page: the licences of all that is in it and is not our own. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/** What is in the page without being a module of a package. */
const OTHERS = ["emojibase-data", "world-atlas"];
const WORDS = fileURLToPath(new URL("../licences/monero.txt", import.meta.url));

function packageOf(module: string): string | null {
  const parts = module.split("/node_modules/");
  const [scope, name] = (parts.length > 1 ? (parts.at(-1) ?? "") : "").split("/");
  if (!scope) return null;
  const folder = scope.startsWith("@") ? `${scope}/${name}` : scope;
  return `${parts.slice(0, -1).join("/node_modules/")}/node_modules/${folder}`;
}

function licence(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((one) => /^licen[sc]e/i.test(one));
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `Licence: ${license}`;
  return `${name} ${version} (${license})\n\n${text}\n`;
}

export function notice(root: string): Plugin {
  return {
    name: "notice",
    apply: "build",
    writeBundle(options) {
      const folders = new Set(OTHERS.map((name) => join(root, "node_modules", name)));
      for (const module of this.getModuleIds()) {
        const folder = packageOf(module.replace(/^\0/, "").split("?")[0] ?? "");
        if (folder && dirname(folder) !== "") folders.add(folder);
      }
      const words = `The words of recovery phrases, as in the Python package monero\n\n${readFileSync(WORDS, "utf8").trim()}\n`;
      const texts = [...folders].sort().map(licence);
      writeFileSync(join(options.dir ?? "", "NOTICE"), [...texts, words].join(`\n${"-".repeat(80)}\n\n`));
    },
  };
}
