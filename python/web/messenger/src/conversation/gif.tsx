/** A moving picture that can be held: whoever wants less motion sees its first frame until they play it. */
import { Pause, Play } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Attachment } from "../api/types";
import { t } from "../i18n";
import { preferences } from "../prefs";
import { safeCaption } from "../text/safe";

export const calm = () => preferences.get().lessMotion || matchMedia("(prefers-reduced-motion: reduce)").matches;

/** How large the first frame is kept, in pixels of a side. */
const LARGEST = 1024;

/** The first frame. */
export function Still({ url, onBroken }: { url: string; onBroken: () => void }) {
  const still = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    let wanted = true;
    const image = new Image();
    image.onload = () => {
      const canvas = still.current;
      if (!wanted || !canvas) return;
      const scale = Math.min(1, LARGEST / Math.max(image.naturalWidth, image.naturalHeight, 1));
      canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
      canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
      canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
    };
    image.onerror = () => wanted && onBroken();
    image.src = url;
    return () => {
      wanted = false;
    };
  }, [url, onBroken]);
  return <canvas ref={still} className="gif-still" />;
}

export function Gif({ one, onBroken, onOpen }: { one: Attachment; onBroken: () => void; onOpen: () => void }) {
  const [playing, setPlaying] = useState(() => !calm());
  return (
    <>
      <button type="button" className="gif-open" onClick={onOpen} aria-label={`${t("file.open")}: GIF`}>
        {playing ? (
          <img src={one.url} alt={safeCaption(one.caption)} decoding="async" onError={onBroken} />
        ) : (
          <Still url={one.url} onBroken={onBroken} />
        )}
      </button>
      <button
        type="button"
        className="gif-toggle"
        aria-label={`${t(playing ? "voice.pause" : "voice.play")}: GIF`}
        onClick={() => setPlaying(!playing)}
      >
        {playing ? <Pause size={15} /> : <Play size={15} />}
        GIF
      </button>
    </>
  );
}
