/** The call that this page has: its media, its devices, and what the service tells of it. */
import { toast } from "@allium/ui";
import { get, post, sentence } from "../api/client";
import { onFrame } from "../api/events";
import { of } from "../api/queries";
import type { Account, Call, Frame, Ice, Signal } from "../api/types";
import { t } from "../i18n";
import { Store } from "../store";
import { Connection } from "./connection";
import { owner, setCall, type Wanted, wanted } from "./state";

/** The service ends a call of which it hears nothing for a good deal longer. */
const ALIVE = 20_000;
/** So long it is shown how a call ended. */
const SHOWN = 4000;

export type Kind = "audioinput" | "videoinput" | "audiooutput";

export interface Shown {
  account: string;
  call: Call;
  /** Whether this page has the call, or has only heard it ring. */
  mine: boolean;
  /** Both hear each other now. */
  connected: boolean;
  muted: boolean;
  local: MediaStream | null;
  remote: MediaStream | null;
  remoteVideo: boolean;
  busy: boolean;
  chosen: Partial<Record<Kind, string>>;
}

export const shown = new Store<Shown | null>(null);
/** Calls that this page does not want to hear ring any more. */
const ignored = new Set<string>();

let connection: Connection | null = null;
let audio: MediaStreamTrack | null = null;
let taken = 0;
let taking = false;
let alive: ReturnType<typeof setInterval> | undefined;

function change(to: Partial<Shown>): void {
  const now = shown.get();
  if (now) shown.set({ ...now, ...to });
}

const path = (now: Shown, what: string): string => of(now.account, `calls/${now.call.id}/${what}`);

function fresh(account: string, call: Call): Shown {
  const rest = { connected: false, muted: false, local: null, remote: null, remoteVideo: false, busy: false };
  return { account, call, mine: call.owner === owner, ...rest, chosen: {} };
}

const microphone = async (device?: string): Promise<MediaStreamTrack | null> =>
  (
    await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, ...(device ? { deviceId: { exact: device } } : {}) },
    })
  ).getAudioTracks()[0] ?? null;

/** Ends what this page does of the call. */
function release(): void {
  clearInterval(alive);
  connection?.close();
  connection = null;
  audio?.stop();
  audio = null;
  taken = 0;
  for (const track of shown.get()?.local?.getTracks() ?? []) track.stop();
}

function over(call: Call): void {
  const mine = shown.get()?.mine;
  release();
  if (!mine || call.outcome === "crossed") {
    shown.set(null);
    return;
  }
  change({ call, connected: false, local: null, remote: null, remoteVideo: false });
  setTimeout(() => shown.get()?.call.id === call.id && shown.set(null), SHOWN);
}

/** What the service knows of calls now. */
export function sync(accounts: Account[]): void {
  const now = shown.get();
  if (now && now.call.phase !== "ended") {
    const known = accounts.find((one) => one.id === now.account)?.call;
    if (known?.id === now.call.id) {
      if (!now.mine && known.owner && known.owner !== owner) {
        shown.set(null);
        return;
      }
      if (known !== now.call) change({ call: known });
      if (now.mine) void fetchSignals();
    } else if (!now.mine) shown.set(null);
    return;
  }
  for (const { id, call } of accounts) {
    if (call?.phase !== "ringing" || ignored.has(call.id)) continue;
    // They have called while we were calling them: both want it.
    const crossed = call.wanted && call.owner === owner;
    if (call.owner && !crossed) continue;
    shown.set(fresh(id, call));
    if (crossed) void accept(false);
    return;
  }
}

onFrame(({ type, account, call }: Frame) => {
  const now = shown.get();
  if (type !== "call_changed" || !call || !account) return;
  if (call.phase === "ended" && now?.call.id === call.id && now.call.phase !== "ended") over(call);
});

async function fetchSignals(): Promise<void> {
  const now = shown.get();
  if (!now || !connection || taking || now.call.signals <= taken) return;
  taking = true;
  const [here, { id }] = [connection, now.call];
  try {
    const { signals } = await get<{ signals: Signal[] }>(path(now, `signals?after=${taken}`));
    if (here !== connection || shown.get()?.call.id !== id) return;
    if (!signals.length) return;
    for (const one of signals) {
      taken++;
      await here.take(one);
    }
  } catch {
    // The next event asks again.
    return;
  } finally {
    taking = false;
  }
  await fetchSignals();
}

async function connect(now: Shown, track: MediaStreamTrack, video: boolean): Promise<void> {
  const ice = await get<Ice>(of(now.account, "ice"));
  if (shown.get()?.call.id !== now.call.id) return track.stop();
  audio = track;
  connection = new Connection(now.account, now.call, ice, track, {
    connected: (connected) => {
      change({ connected });
      if (connected) void post(path(now, "alive"), { connected }).catch(() => undefined);
    },
    remote: (stream) => change({ remote: new MediaStream(stream.getTracks()) }),
    video: (remoteVideo) => change({ remoteVideo }),
    hangup: () => void end(),
    failed: () => void end(true),
  });
  alive = setInterval(() => {
    const connected = shown.get()?.connected ?? false;
    void post(path(now, "alive"), { connected }).catch(() => undefined);
  }, ALIVE);
  if (video) await setCamera(true);
  await fetchSignals();
}

/** Calls somebody. */
export async function start(whom: Wanted): Promise<void> {
  wanted.set(null);
  const now = shown.get();
  if (now && now.call.phase !== "ended") return;
  let track: MediaStreamTrack | null = null;
  try {
    track = await microphone();
  } catch {
    // Told below.
  }
  if (!track) return toast(t("voice.denied"));
  try {
    const call = await post<Call>(of(whom.account, "calls"), { contact: whom.contact, owner });
    shown.set(fresh(whom.account, call));
    setCall(whom.account, call);
    await connect({ ...fresh(whom.account, call) }, track, whom.video);
  } catch (error) {
    track.stop();
    toast(sentence(error));
    if (shown.get()?.mine) await end(true);
  }
}

/** Takes the call that rings. */
export async function accept(video: boolean): Promise<void> {
  const now = shown.get();
  if (!now || now.busy) return;
  change({ busy: true });
  let track: MediaStreamTrack | null = null;
  try {
    track = await microphone();
  } catch {
    // Told below.
  }
  if (!track) {
    change({ busy: false });
    return toast(t("voice.denied"));
  }
  try {
    const call = await post<Call>(path(now, "accept"), { owner });
    change({ call, mine: true, busy: false });
    await connect({ ...now, call }, track, video);
  } catch (error) {
    track.stop();
    toast(sentence(error));
    shown.set(null);
  }
}

/** Hangs up, or declines. */
export async function end(failed = false): Promise<void> {
  const now = shown.get();
  if (!now || now.call.phase === "ended" || now.busy) return;
  change({ busy: true });
  connection?.close();
  try {
    const call = await post<Call>(path(now, "end"), { failed });
    if (shown.get()?.call.id === now.call.id && shown.get()?.call.phase !== "ended") over(call);
  } catch {
    // The service has ended it meanwhile, or does not answer; here it is over in any case.
    if (shown.get()?.call.phase !== "ended") over({ ...now.call, phase: "ended", outcome: null });
  } finally {
    change({ busy: false });
  }
}

/** Here it rings no longer; elsewhere it does. */
export function ignore(): void {
  const now = shown.get();
  if (now) ignored.add(now.call.id);
  shown.set(null);
}

export function setMuted(muted: boolean): void {
  if (audio) audio.enabled = !muted;
  change({ muted });
}

export async function setCamera(on: boolean): Promise<void> {
  const now = shown.get();
  if (!now || !connection) return;
  for (const track of now.local?.getTracks() ?? []) track.stop();
  if (!on) {
    change({ local: null });
    return connection.use("video", null);
  }
  try {
    const device = now.chosen.videoinput;
    const local = await navigator.mediaDevices.getUserMedia({
      video: { width: 1280, height: 720, ...(device ? { deviceId: { exact: device } } : {}) },
    });
    if (!connection) return local.getTracks().forEach((track) => void track.stop());
    change({ local });
    await connection.use("video", local.getVideoTracks()[0] ?? null);
  } catch {
    change({ local: null });
    toast(t("call.noCamera"));
  }
}

/** Another microphone, camera or loudspeaker. */
export async function choose(kind: Kind, device: string): Promise<void> {
  change({ chosen: { ...shown.get()?.chosen, [kind]: device } });
  if (kind === "videoinput" && shown.get()?.local) await setCamera(true);
  if (kind !== "audioinput") return;
  try {
    const track = await microphone(device);
    if (!track || !connection) return;
    audio?.stop();
    audio = track;
    track.enabled = !shown.get()?.muted;
    await connection.use("audio", track);
  } catch {
    toast(t("voice.denied"));
  }
}

// A page that goes takes its call along.
window.addEventListener("pagehide", () => {
  const now = shown.get();
  if (!now?.mine || now.call.phase === "ended") return;
  connection?.close();
  const body = new Blob(["{}"], { type: "application/json" });
  navigator.sendBeacon(`/api/${path(now, "end")}`, body);
});
