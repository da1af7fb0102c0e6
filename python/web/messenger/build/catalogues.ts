/** Catalogues of texts (ICU messages in JSON), compiled while the page is built, so that no parser is shipped. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import type { Plugin } from "vite";

const ALL = "virtual:catalogues";
const ONE = "virtual:catalogue/";

export function catalogues(locales: string): Plugin {
  const read = (part: string, language: string): Record<string, string> => {
    try {
      return JSON.parse(readFileSync(join(locales, part, `${language}.json`), "utf8"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
      throw error;
    }
  };
  const texts = (language: string) => ({ ...read("core", language), ...read("more", language) });
  const languages = () =>
    readdirSync(join(locales, "core"))
      .map((name) => name.replace(/\.json$/, ""))
      .sort();
  return {
    name: "catalogues",
    resolveId: (id) => (id === ALL || id.startsWith(ONE) ? `\0${id}` : null),
    load(id) {
      if (id === `\0${ALL}`) {
        const english = Object.keys(texts("en")).length;
        const entries = languages().map((language) => {
          const share = Object.keys(texts(language)).length / english;
          return `${JSON.stringify(language)}: { share: ${share.toFixed(2)}, load: () => import("${ONE}${language}") }`;
        });
        return `export default { ${entries.join(", ")} };`;
      }
      if (id.startsWith(`\0${ONE}`)) {
        const language = id.slice(ONE.length + 1);
        const compiled = Object.entries(texts(language)).map(([key, text]) => [key, compileMessage(text)]);
        return `export default ${JSON.stringify(Object.fromEntries(compiled))};`;
      }
      return null;
    },
  };
}
