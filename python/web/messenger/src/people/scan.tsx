/** A QR code, from the camera, from a picture, or pasted. Nothing of it leaves this page. */
import { Button } from "@allium/ui";
import { ImageUp } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { t } from "../i18n";
import { readCode, readPicture } from "./read-code";

/** Milliseconds between two looks at what the camera sees. */
const LOOK = 200;

interface Properties {
  /** Says whether the text is any good; if not, it is looked on. */
  onFound: (text: string) => boolean;
  /** What is said of a code that is not. */
  foreign?: string;
}

export default function Scanner({ onFound, foreign = t("scan.foreign") }: Properties) {
  const video = useRef<HTMLVideoElement>(null);
  const chosen = useRef<HTMLInputElement>(null);
  const [camera, setCamera] = useState<"starting" | "looking" | "none">("starting");
  const [problem, setProblem] = useState("");
  const found = useRef(onFound);
  found.current = onFound;
  const said = useRef(foreign);
  useEffect(() => {
    let stream: MediaStream | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let ended = false;
    const look = async () => {
      const seen = video.current;
      const text = seen && (await readCode(seen, seen.videoWidth, seen.videoHeight));
      if (ended) return;
      if (text) {
        if (found.current(text)) return;
        setProblem(said.current);
      }
      timer = setTimeout(() => void look(), LOOK);
    };
    const begin = async () => {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      if (ended || !video.current) return end();
      video.current.srcObject = stream;
      await video.current.play();
      setCamera("looking");
      void look();
    };
    const end = () => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    if (navigator.mediaDevices) begin().catch(() => ended || setCamera("none"));
    else setCamera("none");
    return () => {
      ended = true;
      clearTimeout(timer);
      end();
    };
  }, []);
  const read = async (file: Blob | null | undefined) => {
    if (!file) return;
    const text = await readPicture(file);
    if (!text) setProblem(t("scan.nothing"));
    else if (!found.current(text)) setProblem(said.current);
  };
  const latest = useRef(read);
  latest.current = read;
  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      void latest.current(file);
    };
    window.addEventListener("paste", paste);
    return () => window.removeEventListener("paste", paste);
  }, []);
  return (
    <div className="scanner">
      <div className="finder" data-camera={camera}>
        <video ref={video} muted playsInline aria-label={t("scan.camera")} />
        {camera === "none" && <p>{t("scan.noCamera")}</p>}
      </div>
      <p className="muted small">{t("scan.hint")}</p>
      <input
        ref={chosen}
        type="file"
        accept="image/*"
        hidden
        onChange={(event) => {
          void read(event.target.files?.[0]);
          event.target.value = "";
        }}
      />
      <Button onClick={() => chosen.current?.click()}>
        <ImageUp size={18} />
        {t("scan.picture")}
      </Button>
      <p className="error" role="alert">
        {problem}
      </p>
    </div>
  );
}
