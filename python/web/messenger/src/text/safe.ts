/** Strangers' texts made harmless to the layout: their bytes stay, only what is drawn changes. */

/** Marks that turn the direction of what comes after them, and controls that draw nothing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it is about.
const STEERING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;
const MARKS = /(\p{M}{4})\p{M}+/gu;
const LONGEST_NAME = 120;

/** A name on one line: never empty, never able to reorder or overgrow what stands around it. */
export function safeName(name: string | null | undefined, otherwise = "?", longest = LONGEST_NAME): string {
  const plain = (name ?? "")
    .slice(0, 4 * longest)
    .replace(STEERING, " ")
    .replace(MARKS, "$1");
  return plain.replace(/\s+/g, " ").trim().slice(0, longest) || otherwise;
}

/** The most that is written beside a file. */
export const LONGEST_CAPTION = 1000;
export const safeCaption = (caption: string | null | undefined): string => safeName(caption, "", LONGEST_CAPTION);

/** A text with at most four marks on a letter. */
export const calm = (text: string): string => text.replace(MARKS, "$1");

/** `05ab…89ef`: enough to tell ids apart. */
export const shortId = (id: string): string => (id.length > 20 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id);

export const isAccountId = (text: string): boolean => /^05[0-9a-f]{64}$/i.test(text.trim());

const EMOJI = /^(?:\p{RGI_Emoji}|\s){1,24}$/v;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How many emoji a text of nothing else has, up to six; otherwise 0. */
export function emojiOnly(text: string): number {
  if (!text || text.length > 120 || !EMOJI.test(text.trim())) return 0;
  const count = [...segmenter.segment(text.replace(/\s/g, ""))].length;
  return count <= 6 ? count : 0;
}

/** Code points, as the limit of a message counts them. */
export const codePoints = (text: string): number => {
  let count = 0;
  for (const _ of text) count++;
  return count;
};
