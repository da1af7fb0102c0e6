/** How the page looks and behaves in this browser. Nothing here says anything about anybody. */
import { activate, preferred } from "./i18n";
import { Store } from "./store";

export interface Preferences {
  theme: "system" | "light" | "dark";
  accent: "green" | "blue" | "yellow" | "pink" | "purple" | "orange" | "red";
  size: "small" | "normal" | "large" | "huge";
  contrast: boolean;
  lessMotion: boolean;
  compact: boolean;
  enterSends: boolean;
  language: string;
  notify: boolean;
  notifyContent: "full" | "name" | "none";
}

const KEY = "preferences";
const DEFAULTS: Preferences = {
  theme: "system",
  accent: "green",
  size: "normal",
  contrast: false,
  lessMotion: false,
  compact: false,
  enterSends: true,
  language: "",
  notify: false,
  notifyContent: "name",
};

function read(): Preferences {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return DEFAULTS;
  }
}

export const preferences = new Store<Preferences>(read());
const darkSystem = matchMedia("(prefers-color-scheme: dark)");

function apply(): void {
  const chosen = preferences.get();
  const dark = chosen.theme === "dark" || (chosen.theme === "system" && darkSystem.matches);
  const { dataset } = document.documentElement;
  dataset.theme = dark ? "dark" : "light";
  dataset.accent = chosen.accent;
  dataset.size = chosen.size;
  dataset.contrast = chosen.contrast ? "high" : "normal";
  dataset.motion = chosen.lessMotion ? "less" : "normal";
  dataset.density = chosen.compact ? "compact" : "normal";
}

export async function begin(): Promise<void> {
  darkSystem.addEventListener("change", apply);
  apply();
  await activate(preferences.get().language || preferred());
}

export async function choose(change: Partial<Preferences>): Promise<void> {
  const next = { ...preferences.get(), ...change };
  // The texts of a new language are there before anything is drawn in it.
  if (change.language) await activate(change.language);
  preferences.set(next);
  try {
    localStorage.setItem(KEY, JSON.stringify(next));
  } catch {
    // A browser that keeps nothing begins with the defaults next time.
  }
  apply();
}
