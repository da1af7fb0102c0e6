/** Session descriptions, before they go and when they come: what would tell listeners on the way how one speaks goes. */

const LEVEL = /^a=extmap:\d+(?:\/\w+)? urn:ietf:params:rtp-hdrext:ssrc-audio-level.*\r?\n/gm;

/** Without the loudness that would stand beside each packet in the clear. */
export const withoutLevels = (sdp: string): string => sdp.replace(LEVEL, "");

/** With speech in packets of one size, as what changes with the words can be recognised. */
export function withConstantRate(sdp: string): string {
  const opus = [...sdp.matchAll(/^a=rtpmap:(\d+) opus\//gim)].map((one) => one[1]);
  return sdp.replace(/^a=fmtp:(\d+) (.*)$/gm, (line, type: string, more: string) =>
    opus.includes(type) && !/\bcbr=/.test(more)
      ? `a=fmtp:${type} ${more.trimEnd()};cbr=1${more.endsWith("\r") ? "\r" : ""}`
      : line,
  );
}
