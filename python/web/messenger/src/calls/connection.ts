/** The media of one call: a WebRTC connection as the other clients have it, and what is said beside the sound. */
import { post } from "../api/client";
import type { Call, Ice, Signal } from "../api/types";
import { withConstantRate, withoutLevels } from "./sdp";

/** Candidates that are found within this time go together. */
const TOGETHER = 300;
/** A connection that is away for longer is looked for anew, so often and so far apart. */
const PATIENCE = 2000;
const RETRIES = 5;
const RETRY = 5000;
/** The channel that both sides know without saying so. */
const CHANNEL = 548;

export interface Told {
  connected: (now: boolean) => void;
  video: (on: boolean) => void;
  remote: (stream: MediaStream) => void;
  hangup: () => void;
  failed: () => void;
}

export class Connection {
  private readonly peer: RTCPeerConnection;
  private readonly channel: RTCDataChannel;
  private readonly remote = new MediaStream();
  private readonly path: string;
  private found: RTCIceCandidate[] = [];
  private early: RTCIceCandidateInit[] = [];
  private timer: ReturnType<typeof setTimeout> | undefined;
  private away: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  private offering = false;
  private described = false;
  private readonly tracks: { audio: MediaStreamTrack | null; video: MediaStreamTrack | null };
  /** What is heard and what is seen belong together. */
  private readonly stream = new MediaStream();
  private closed = false;
  /** What goes to the other side goes in order. */
  private sending: Promise<unknown> = Promise.resolve();

  constructor(
    account: string,
    private readonly call: Call,
    ice: Ice,
    audio: MediaStreamTrack,
    private readonly told: Told,
  ) {
    this.tracks = { audio, video: null };
    this.path = `accounts/${account}/calls/${call.id}`;
    this.peer = new RTCPeerConnection({
      iceServers: ice.servers.map(({ url, username, credential }) =>
        url.startsWith("turn") ? { urls: url, username, credential } : { urls: url },
      ),
      iceTransportPolicy: ice.relay_only ? "relay" : "all",
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.channel = this.peer.createDataChannel("allium", { negotiated: true, id: CHANNEL, ordered: true });
    this.channel.onopen = () => this.say({ video: this.tracks.video !== null });
    this.channel.onmessage = ({ data }) => this.heard(data);
    this.peer.ontrack = ({ track }) => {
      this.remote.addTrack(track);
      told.remote(this.remote);
    };
    this.peer.onicecandidate = ({ candidate }) => this.candidate(candidate);
    this.peer.onconnectionstatechange = () => this.changed();
    if (call.outgoing) {
      this.peer.onnegotiationneeded = () => void this.offer();
      this.peer.addTransceiver(audio, { direction: "sendrecv", streams: [this.stream] });
      this.peer.addTransceiver("video", { direction: "sendrecv", streams: [this.stream] });
    }
  }

  /** What the other side has sent. One that makes no sense is left out. */
  async take(signal: Signal): Promise<void> {
    try {
      if (signal.kind === "candidates") {
        for (const { candidate, line_index, mid } of signal.candidates)
          await this.reached({ candidate, sdpMLineIndex: line_index, sdpMid: mid || null });
      } else await this.describe(signal.kind, withoutLevels(signal.sdp));
    } catch (error) {
      console.warn("a step of a call was not understood", error instanceof Error ? error.name : "");
      // Without a first description there is no call.
      if (signal.kind !== "candidates" && !this.described) this.told.failed();
    }
  }

  private async describe(type: "offer" | "answer", sdp: string): Promise<void> {
    const crossed = type === "offer" && (this.offering || this.peer.signalingState !== "stable");
    // Who called stays with its own offer where both make one; the other side takes its own back.
    if (crossed && this.call.outgoing) return;
    await this.peer.setRemoteDescription({ type, sdp });
    this.described = true;
    for (const one of this.early.splice(0)) await this.reached(one);
    if (type === "answer") return;
    await this.answer();
  }

  private async answer(): Promise<void> {
    for (const one of this.peer.getTransceivers()) {
      if (one.currentDirection === "stopped") continue;
      if (one.direction !== "sendrecv") one.direction = "sendrecv";
      one.sender.setStreams(this.stream);
      const track = one.receiver.track.kind === "audio" ? this.tracks.audio : this.tracks.video;
      if (one.sender.track !== track) await one.sender.replaceTrack(track);
    }
    await this.peer.setLocalDescription();
    this.send("answer", { sdp: this.sdp });
  }

  private async offer(): Promise<void> {
    if (this.closed) return;
    this.offering = true;
    try {
      await this.peer.setLocalDescription();
      this.send("offer", { sdp: this.sdp });
    } catch {
      this.told.failed();
    } finally {
      this.offering = false;
    }
  }

  private get sdp(): string {
    return withConstantRate(withoutLevels(this.peer.localDescription?.sdp ?? ""));
  }

  private async reached(candidate: RTCIceCandidateInit): Promise<void> {
    if (!this.described) {
      this.early.push(candidate);
      return;
    }
    // One that is wrong costs no other.
    await this.peer.addIceCandidate(candidate).catch(() => undefined);
  }

  private candidate(candidate: RTCIceCandidate | null): void {
    if (candidate?.candidate) this.found.push(candidate);
    clearTimeout(this.timer);
    if (candidate) this.timer = setTimeout(() => this.flush(), TOGETHER);
    else this.flush();
  }

  private flush(): void {
    const candidates = this.found.splice(0).map(({ candidate, sdpMid, sdpMLineIndex }) => ({
      candidate,
      mid: sdpMid ?? "",
      line_index: sdpMLineIndex ?? 0,
    }));
    if (candidates.length) this.send("candidates", { candidates });
  }

  private send(what: string, body: unknown): void {
    this.sending = this.sending.then(() =>
      this.closed ? undefined : post(`${this.path}/${what}`, body).catch(() => undefined),
    );
  }

  private changed(): void {
    const state = this.peer.connectionState;
    clearTimeout(this.away);
    if (state === "connected") {
      this.tries = 0;
      this.told.connected(true);
    } else if (state === "disconnected" || state === "failed") {
      this.told.connected(false);
      this.away = setTimeout(() => this.again(), state === "failed" && this.tries ? RETRY : PATIENCE);
    }
  }

  private again(): void {
    if (this.closed || this.peer.connectionState === "connected") return;
    if (this.tries++ >= RETRIES) {
      this.told.failed();
      return;
    }
    if (this.call.outgoing) this.peer.restartIce();
    this.away = setTimeout(() => this.again(), RETRY);
  }

  private heard(data: unknown): void {
    if (typeof data !== "string" || data.length > 10_000) return;
    let said: unknown;
    try {
      said = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof said !== "object" || said === null) return;
    if ("video" in said && typeof said.video === "boolean") this.told.video(said.video);
    if ("hangup" in said && said.hangup === true) this.told.hangup();
  }

  private say(what: { video: boolean } | { hangup: true }): void {
    if (this.channel.readyState === "open") this.channel.send(JSON.stringify(what));
  }

  /** Another microphone, or camera; null is none. */
  async use(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void> {
    this.tracks[kind] = track;
    const found = this.peer.getTransceivers().find((one) => one.receiver.track.kind === kind);
    await found?.sender.replaceTrack(track);
    if (kind === "video") this.say({ video: track !== null });
  }

  close(): void {
    if (this.closed) return;
    this.say({ hangup: true });
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.away);
    this.peer.onconnectionstatechange = null;
    this.channel.onmessage = null;
    // What was said last is still on its way.
    setTimeout(() => this.peer.close(), 200);
  }
}
