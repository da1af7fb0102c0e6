/** What a code, a link or a paste leads to: somebody's Account ID, or a community. */

export type Invitation = { kind: "account"; id: string } | { kind: "community"; url: string };

const ID = /^05[0-9a-f]{64}$/;
const COMMUNITY = /^https?:\/\/[^\s/?#]+\/\S*\?public_key=[0-9a-f]{64}$/i;
/** `session:` is what other programs write, `web+session:` is what browsers hand on. */
const SCHEME = /^(?:web\+)?session:(?:\/\/)?/i;
const LONGEST = 2048;

export const isCommunity = (text: string): boolean => text.length <= LONGEST && COMMUNITY.test(text.trim());

/** `null` for anything that leads nowhere here. */
export function invitationIn(text: string): Invitation | null {
  const bare = text.slice(0, LONGEST).trim().replace(SCHEME, "").trim();
  const id = bare.replace(/\/$/, "").toLowerCase();
  if (ID.test(id)) return { kind: "account", id };
  return isCommunity(bare) ? { kind: "community", url: bare } : null;
}
