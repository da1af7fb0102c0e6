/** The call that one is in: with whom, how far it is, and what one can do. It is in nobody's way. */
import { IconButton } from "@allium/ui";
import { Maximize2, Mic, MicOff, Minimize2, PhoneOff, Settings2, Video, VideoOff } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Call } from "../api/types";
import { type Key, length, t } from "../i18n";
import { go } from "../route";
import { Name, PersonAvatar } from "../shell/person";
import { safeName, shortId } from "../text/safe";
import { choose, end, type Kind, type Shown, setCamera, setMuted } from "./controller";

const ENDED: Record<string, Key> = {
  declined: "call.declined",
  unanswered: "call.unanswered",
  failed: "call.failed",
};

function said(now: Shown): string {
  const { phase, outcome, outgoing } = now.call;
  if (phase === "ended") return t((outgoing || outcome === "failed" ? ENDED[outcome ?? ""] : null) ?? "call.ended");
  if (phase === "calling") return t("call.ringing");
  if (phase === "connected" && !now.connected) return t("call.reconnecting");
  return t(now.connected ? "call.connected" : "call.connecting");
}

function Passed({ call }: { call: Call }) {
  const [begun] = useState(Date.now);
  const [now, setNow] = useState(begun);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const time = length((now - begun) / 1000);
  return (
    <span role="timer" aria-label={t("call.passed", { time })} data-call={call.id}>
      {time}
    </span>
  );
}

interface FilmProperties {
  of: MediaStream;
  own?: boolean;
  /** Only heard. */
  dark?: boolean;
  sink?: string | undefined;
  label: string;
}

function Film({ of, own, dark, sink, label }: FilmProperties) {
  const film = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    if (film.current) film.current.srcObject = of;
  }, [of]);
  useEffect(() => {
    if (sink && film.current && "setSinkId" in film.current) void film.current.setSinkId(sink).catch(() => undefined);
  }, [sink]);
  return (
    <video
      ref={film}
      className={own ? "own" : "theirs"}
      data-dark={dark ? "" : undefined}
      autoPlay
      playsInline
      muted={own}
      aria-label={label}
    />
  );
}

const KINDS: [Kind, Key][] = [
  ["audioinput", "call.microphone"],
  ["videoinput", "call.camera"],
  ["audiooutput", "call.loudspeaker"],
];

function Devices({ now }: { now: Shown }) {
  const [found, setFound] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    const look = () => void navigator.mediaDevices.enumerateDevices().then(setFound, () => undefined);
    look();
    navigator.mediaDevices.addEventListener("devicechange", look);
    return () => navigator.mediaDevices.removeEventListener("devicechange", look);
  }, []);
  return (
    <div className="devices">
      {KINDS.map(([kind, label]) => {
        const ones = found.filter((one) => one.kind === kind);
        if (!ones.length) return null;
        return (
          <label key={kind}>
            <span>{t(label)}</span>
            <select
              className="input"
              value={now.chosen[kind] ?? ones[0]?.deviceId}
              onChange={(event) => void choose(kind, event.target.value)}
            >
              {ones.map((one) => (
                <option key={one.deviceId} value={one.deviceId}>
                  {one.label || t(label)}
                </option>
              ))}
            </select>
          </label>
        );
      })}
    </div>
  );
}

export function Panel({ now }: { now: Shown }) {
  const [large, setLarge] = useState(false);
  const [devices, setDevices] = useState(false);
  const frame = useRef<HTMLElement>(null);
  const { call } = now;
  const name = safeName(call.contact.name, shortId(call.contact.id));
  const ended = call.phase === "ended";
  const sees = now.remoteVideo && now.remote;
  // Who has taken a call by key goes on in it; the dialog is gone, and with it the focus.
  useEffect(() => {
    const later = requestAnimationFrame(() => {
      const free = document.activeElement === null || document.activeElement === document.body;
      if (free || document.activeElement?.id === "main") frame.current?.focus({ preventScroll: true });
    });
    return () => cancelAnimationFrame(later);
  }, []);
  const film = sees || now.local;
  return (
    <section
      ref={frame}
      className="call"
      tabIndex={-1}
      aria-label={t("call.with", { name })}
      data-large={large ? "" : undefined}
      data-film={film ? "" : undefined}
      data-phase={call.phase}
    >
      <div className="call-who">
        <button type="button" className="account" onClick={() => go(now.account, "c", call.contact.id)}>
          <PersonAvatar of={call.contact} size="small" />
          <span className="who">
            <span className="name ellipsis">
              <Name of={call.contact} />
            </span>
            <span className="status">
              <span role="status">{said(now)}</span>
              {call.phase === "connected" && <Passed key={call.id} call={call} />}
            </span>
          </span>
        </button>
        {film && (
          <IconButton label={t(large ? "call.smaller" : "call.larger")} onClick={() => setLarge(!large)}>
            {large ? <Minimize2 /> : <Maximize2 />}
          </IconButton>
        )}
      </div>
      <div className="films" hidden={!film && !now.remote}>
        {now.remote && (
          <Film of={now.remote} dark={!sees} sink={now.chosen.audiooutput} label={t("call.theirVideo", { name })} />
        )}
        {!sees && film && <PersonAvatar of={call.contact} size="large" />}
        {now.local && <Film of={now.local} own label={t("call.ownVideo")} />}
      </div>
      {devices && <Devices now={now} />}
      {!ended && (
        <div className="call-controls" role="toolbar" aria-label={t("call.controls")}>
          <IconButton
            label={t(now.muted ? "call.unmute" : "call.mute")}
            aria-pressed={now.muted}
            onClick={() => setMuted(!now.muted)}
          >
            {now.muted ? <MicOff /> : <Mic />}
          </IconButton>
          <IconButton
            label={t(now.local ? "call.cameraOff" : "call.cameraOn")}
            aria-pressed={now.local !== null}
            onClick={() => void setCamera(!now.local)}
          >
            {now.local ? <Video /> : <VideoOff />}
          </IconButton>
          <IconButton label={t("call.devices")} aria-expanded={devices} onClick={() => setDevices(!devices)}>
            <Settings2 />
          </IconButton>
          <IconButton className="hang-up" label={t("call.hangUp")} onClick={() => void end()}>
            <PhoneOff />
          </IconButton>
        </div>
      )}
    </section>
  );
}
