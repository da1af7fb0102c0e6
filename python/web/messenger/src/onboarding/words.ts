/** Help with a recovery phrase: which word is none, and what it may have been. The list is of spec/accounts §2. */
import text from "./words.json";

export const WORDS: readonly string[] = text.split(" ");
const PREFIX = 3;
const known = new Set(WORDS.map((word) => word.slice(0, PREFIX)));

export const split = (phrase: string): string[] =>
  phrase
    .toLowerCase()
    .split(/[\s,;.]+/)
    .filter(Boolean);

/** Words are told apart by their first three letters alone. */
export const isWord = (word: string): boolean => known.has(word.slice(0, PREFIX)) && word.length >= PREFIX;

function distance(one: string, other: string): number {
  let before = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row++) {
    const now = [row];
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1] ? 0 : 1;
      now.push(Math.min((now[column - 1] ?? 0) + 1, (before[column] ?? 0) + 1, (before[column - 1] ?? 0) + same));
    }
    before = now;
  }
  return before[other.length] ?? 0;
}

/** At most three words of the list that are nearest to what was typed. */
export function suggestions(word: string): string[] {
  if (word.length > 20) return [];
  const near = WORDS.map((one) => ({ one, far: distance(word, one) })).filter(({ far }) => far <= 2);
  return near
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ one }) => one);
}
