/** A moving picture that can be held: whoever wants less motion sees its first frame until they play it. */
import { Pause, Play } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Attachment } from "../api/types";
import { t } from "../i18n";
import { preferences } from "../prefs";

const calm = () => preferences.get().lessMotion || matchMedia("(prefers-reduced-motion: reduce)").matches;

/** How large the first frame is kept, in pixels of a side. */
const LARGEST = 1024;

export function Gif({ one, onBroken, onOpen }: { one: Attachment; onBroken: () => void; onOpen: () => void }) {
  const [playing, setPlaying] = useState(() => !calm());
  const still = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (playing) return;
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
    image.src = one.url;
    return () => {
      wanted = false;
    };
  }, [playing, one.url, onBroken]);
  return (
    <>
      <button type="button" className="gif-open" onClick={onOpen} aria-label={`${t("file.open")}: GIF`}>
        {playing ? (
          <img src={one.url} alt={one.caption ?? ""} decoding="async" onError={onBroken} />
        ) : (
          <canvas ref={still} className="gif-still" />
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
