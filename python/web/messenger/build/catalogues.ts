/** Catalogues of texts (ICU messages in JSON), compiled while the page is built, so that no parser is shipped. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import type { Plugin } from "vite";

/** The languages' tags, of which the first view needs no more. */
const TAGS = "virtual:languages";
/** Their names in themselves and in English, and which share of all texts they have: for who chooses one. */
const NAMES = "virtual:language-names";
/** How the catalogue of each is loaded. */
const LOADERS = "virtual:catalogues";
const ONE = "virtual:catalogue/";
/** Where each text is from; it is no text. */
const SOURCES = "@sources";

/** `names`: the file of the languages' names. */
export function catalogues(locales: string, names = join(locales, "names.json")): Plugin {
  const parse = (path: string) => JSON.parse(readFileSync(path, "utf8"));
  const read = (part: string, language: string): Record<string, string> => {
    try {
      const { [SOURCES]: _, ...texts } = parse(join(locales, part, `${language}.json`));
      return texts;
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
    resolveId: (id) => ([TAGS, NAMES, LOADERS].includes(id) || id.startsWith(ONE) ? `\0${id}` : null),
    load(id) {
      if (id === `\0${TAGS}`) return `export default ${JSON.stringify(languages())};`;
      if (id === `\0${NAMES}`) {
        const english = Object.keys(texts("en")).length;
        const named: Record<string, string[]> = parse(names);
        const rows = languages().map((tag) => [
          tag,
          ...(named[tag] ?? [tag, tag]),
          Number((Object.keys(texts(tag)).length / english).toFixed(2)),
        ]);
        return `export default ${JSON.stringify(rows)};`;
      }
      if (id === `\0${LOADERS}`) {
        const others = languages().filter((tag) => tag !== "en");
        return `export default { ${others.map((tag) => `"${tag}": () => import("${ONE}${tag}")`).join(", ")} };`;
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

/** Catalogues stand apart from the other files, which the service worker keeps all of. */
export function place(chunk: { facadeModuleId?: string | null }): string {
  const tag = chunk.facadeModuleId?.split(ONE)[1];
  return tag && tag !== "en" ? `assets/texts/${tag}.[hash].js` : "assets/[name]-[hash].js";
}
