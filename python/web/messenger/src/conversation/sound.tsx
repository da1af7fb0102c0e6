/** Plays sound with its wave, at one's own speed; one voice message leads to the next. */
import { IconButton } from "@allium/ui";
import { Pause, Play } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Attachment } from "../api/types";
import { length, t } from "../i18n";
import { Store, useStore } from "../store";
import { safeName } from "../text/safe";

const BARS = 42;
/** Nothing larger is decoded for its picture. */
const LARGEST = 6_000_000;
const SPEEDS = [1, 1.5, 2];
let playing: HTMLAudioElement | null = null;
/** Whoever listens fast listens to the next one as fast. */
const pace = new Store(1);

async function wave(url: string, signal: AbortSignal): Promise<number[]> {
  const response = await fetch(url, { signal });
  const context = new OfflineAudioContext(1, 1, 44_100);
  const sound = await context.decodeAudioData(await response.arrayBuffer());
  const samples = sound.getChannelData(0);
  const step = Math.max(1, Math.floor(samples.length / BARS));
  const peaks = Array.from({ length: BARS }, (_, bar) => {
    let most = 0;
    for (let at = bar * step; at < Math.min(samples.length, (bar + 1) * step); at += 16) {
      most = Math.max(most, Math.abs(samples[at] ?? 0));
    }
    return most;
  });
  const loudest = Math.max(...peaks, 0.01);
  return peaks.map((one) => one / loudest);
}

export function Sound({ one }: { one: Attachment }) {
  const audio = useRef<HTMLAudioElement>(null);
  const [bars, setBars] = useState<number[]>([]);
  const [on, setOn] = useState(false);
  const [at, setAt] = useState(0);
  const [whole, setWhole] = useState(0);
  const speed = useStore(pace);
  useEffect(() => {
    const stop = new AbortController();
    if (one.size <= LARGEST) wave(one.url, stop.signal).then(setBars, () => undefined);
    return () => stop.abort();
  }, [one.url, one.size]);
  const toggle = () => {
    const element = audio.current;
    if (!element) return;
    if (!element.paused) return element.pause();
    if (playing && playing !== element) playing.pause();
    playing = element;
    void element.play().catch(() => undefined);
  };
  const faster = () => {
    const next = SPEEDS[(SPEEDS.indexOf(speed) + 1) % SPEEDS.length] ?? 1;
    pace.set(next);
    if (playing) playing.playbackRate = next;
  };
  const next = () => {
    setOn(false);
    if (!one.voice) return;
    const all = [...document.querySelectorAll<HTMLAudioElement>("audio[data-voice]")];
    const following = all[all.indexOf(audio.current as HTMLAudioElement) + 1];
    if (following) {
      playing = following;
      void following.play().catch(() => undefined);
    }
  };
  const name = one.voice ? t("file.voice") : safeName(one.name, t("file.audio"));
  const share = whole ? at / whole : 0;
  return (
    <fieldset className="sound" aria-label={name}>
      {/* biome-ignore lint/a11y/useMediaCaption: what people say has no captions to show. */}
      <audio
        ref={audio}
        src={one.url}
        preload="metadata"
        data-voice={one.voice || undefined}
        onPlay={(event) => {
          event.currentTarget.playbackRate = pace.get();
          setOn(true);
        }}
        onPause={() => setOn(false)}
        onEnded={next}
        onTimeUpdate={(event) => setAt(event.currentTarget.currentTime)}
        onDurationChange={(event) =>
          setWhole(Number.isFinite(event.currentTarget.duration) ? event.currentTarget.duration : 0)
        }
      />
      <IconButton className="primary" label={t(on ? "voice.pause" : "voice.play")} onClick={toggle}>
        {on ? <Pause /> : <Play />}
      </IconButton>
      <span className="wave-box">
        <span className="wave" aria-hidden="true">
          {(bars.length ? bars : Array.from({ length: BARS }, () => 0.1)).map((level, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar's place is its name.
            <i key={index} data-past={index / BARS < share || undefined} style={{ height: `${10 + 90 * level}%` }} />
          ))}
        </span>
        <input
          type="range"
          min={0}
          max={whole || 1}
          step={0.1}
          value={at}
          aria-label={t("voice.position")}
          aria-valuetext={length(at)}
          onChange={(event) => {
            if (audio.current) audio.current.currentTime = Number(event.target.value);
          }}
        />
      </span>
      <span className="small">{length(on || at ? at : whole)}</span>
      <button type="button" className="chip" onClick={faster} aria-label={`${t("voice.speed")}: ${speed}×`}>
        {speed}×
      </button>
    </fieldset>
  );
}
