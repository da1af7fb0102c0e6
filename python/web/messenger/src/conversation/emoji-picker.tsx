/** All emoji, found by name in the page's language; their data is served beside the page. */
import { type EmojiPickerListComponents, EmojiPicker as Picker } from "frimousse";
import { language, t } from "../i18n";
import { EMOJI_LANGUAGES, type EmojiLanguage } from "./emoji-languages";

const PARTS: Partial<EmojiPickerListComponents> = {
  CategoryHeader: ({ category, ...rest }) => (
    <div className="emoji-category" {...rest}>
      {category.label}
    </div>
  ),
  Row: ({ children, ...rest }) => (
    <div className="emoji-row" {...rest}>
      {children}
    </div>
  ),
  Emoji: ({ emoji, ...rest }) => (
    <button className="emoji" {...rest} type="button" title={emoji.label}>
      {emoji.emoji}
    </button>
  ),
};

export default function EmojiPicker({ onPick }: { onPick: (emoji: string) => void }) {
  const base = language().split("-")[0] ?? "en";
  const locale = EMOJI_LANGUAGES.find((one) => one === base) ?? ("en" satisfies EmojiLanguage);
  return (
    <Picker.Root
      className="emoji-picker"
      locale={locale}
      emojibaseUrl="/emoji"
      columns={8}
      onEmojiSelect={({ emoji }) => onPick(emoji)}
    >
      <div className="emoji-line">
        <Picker.Search className="input" aria-label={t("emoji.search")} placeholder={t("emoji.search")} autoFocus />
        <Picker.SkinToneSelector className="icon-button" aria-label={t("emoji.tone")} title={t("emoji.tone")} />
      </div>
      <Picker.Viewport className="emoji-view">
        <Picker.Loading className="muted">{t("common.loading")}</Picker.Loading>
        <Picker.Empty className="muted">{t("emoji.none")}</Picker.Empty>
        <Picker.List components={PARTS} />
      </Picker.Viewport>
    </Picker.Root>
  );
}
