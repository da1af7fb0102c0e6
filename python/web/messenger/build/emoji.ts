/** The picker's data, copied out of its package: the page asks nobody else for it. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";
import { EMOJI_LANGUAGES } from "../src/conversation/emoji-languages";

export function emojiData(): Plugin {
  const source = dirname(createRequire(import.meta.url).resolve("emojibase-data/package.json"));
  return {
    name: "emoji-data",
    apply: "build",
    writeBundle(options) {
      for (const language of EMOJI_LANGUAGES) {
        const target = join(options.dir ?? "", "emoji", language);
        mkdirSync(target, { recursive: true });
        for (const name of ["data.json", "messages.json"]) {
          cpSync(join(source, language, name), join(target, name));
        }
      }
      writeFileSync(join(options.dir ?? "", "emoji", "LICENSE"), readFileSync(join(source, "LICENSE")));
    },
  };
}
