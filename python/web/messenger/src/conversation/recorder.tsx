/** Records a voice message: its level is shown while one speaks, and it is kept or thrown away. */
import { Button, IconButton, toast } from "@allium/ui";
import { Check, Trash2 } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { length, t } from "../i18n";

/** The longest that the other apps take (features.md, row 16). */
const LONGEST = 5 * 60;
const BARS = 48;
const TYPES = ["audio/mp4", "audio/ogg;codecs=opus", "audio/webm;codecs=opus"];

export default function Recorder({ onDone }: { onDone: (file: File | null) => void }) {
  const [seconds, setSeconds] = useState(0);
  const [levels, setLevels] = useState<number[]>([]);
  const recorder = useRef<MediaRecorder | null>(null);
  const keep = useRef(false);
  const done = useRef(onDone);
  done.current = onDone;
  useEffect(() => {
    let stream: MediaStream | null = null;
    let sound: AudioContext | null = null;
    let timer: ReturnType<typeof setInterval>;
    let gone = false;
    const begin = async () => {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      if (gone) return stream.getTracks().forEach((track) => void track.stop());
      const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
      const made = new MediaRecorder(stream, { mimeType: type, audioBitsPerSecond: 32_000 });
      const parts: Blob[] = [];
      made.ondataavailable = ({ data }) => data.size && parts.push(data);
      made.onstop = () => {
        const bare = type.split(";")[0] ?? "audio/webm";
        const name = `voice.${bare.split("/")[1]?.replace("mp4", "m4a")}`;
        done.current(keep.current ? new File(parts, name, { type: bare }) : null);
      };
      recorder.current = made;
      made.start(1000);
      sound = new AudioContext();
      const analyser = sound.createAnalyser();
      sound.createMediaStreamSource(stream).connect(analyser);
      const samples = new Uint8Array(analyser.fftSize);
      const started = Date.now();
      timer = setInterval(() => {
        analyser.getByteTimeDomainData(samples);
        const peak = samples.reduce((most, one) => Math.max(most, Math.abs(one - 128)), 0) / 128;
        setLevels((before) => [...before.slice(1 - BARS), peak]);
        const passed = (Date.now() - started) / 1000;
        setSeconds(passed);
        if (passed >= LONGEST && made.state === "recording") {
          keep.current = true;
          made.stop();
        }
      }, 100);
    };
    begin().catch(() => {
      toast(t("voice.denied"));
      done.current(null);
    });
    return () => {
      gone = true;
      clearInterval(timer);
      stream?.getTracks().forEach((track) => void track.stop());
      void sound?.close();
    };
  }, []);
  const finish = (kept: boolean) => {
    keep.current = kept;
    if (recorder.current?.state === "recording") recorder.current.stop();
    else onDone(null);
  };
  return (
    <div className="composer">
      <div className="composer-line recording">
        <IconButton label={t("voice.discard")} onClick={() => finish(false)}>
          <Trash2 />
        </IconButton>
        <span className="wave" aria-hidden="true">
          {levels.map((level, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar's place is its name.
            <i key={index} style={{ height: `${8 + 92 * level}%` }} />
          ))}
        </span>
        <span role="timer" aria-label={t("voice.recording", { time: length(seconds) })}>
          {length(seconds)}
        </span>
        <Button kind="primary" autoFocus onClick={() => finish(true)}>
          <Check size={18} />
          {t("voice.stop")}
        </Button>
      </div>
    </div>
  );
}
