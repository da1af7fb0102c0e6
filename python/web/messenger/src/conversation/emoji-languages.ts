/** The languages that emoji can be found in: what the build copies beside the page, and the picker asks for. */
export const EMOJI_LANGUAGES = [
  "en",
  "de",
  "fr",
  "es",
  "it",
  "pt",
  "nl",
  "pl",
  "ru",
  "uk",
  "ja",
  "ko",
  "zh",
  "hu",
  "sv",
  "da",
  "fi",
] as const;

export type EmojiLanguage = (typeof EMOJI_LANGUAGES)[number];
