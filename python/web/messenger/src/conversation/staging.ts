/** Files on their way into a message: loaded to the service while one still writes. */
import { toast } from "@allium/ui";
import { sentence, upload } from "../api/client";
import { of } from "../api/queries";
import type { Upload } from "../api/types";
import { t } from "../i18n";
import { Store } from "../store";
import { safeName } from "../text/safe";

/** The most that one message carries (spec/messages §2.1), and the most that a file server takes. */
const MOST = 32;
const LARGEST = 10_000_000;

export interface Staged {
  key: number;
  name: string;
  size: number;
  /** Of a picture, to be looked at before it is sent. */
  view: string | null;
  share: number;
  upload: Upload | null;
  voice: boolean;
  /** What is written beside it. */
  caption: string;
}

let keys = 0;

export class Staging {
  readonly files = new Store<readonly Staged[]>([]);
  private readonly stops = new Map<number, AbortController>();

  constructor(private readonly account: string) {}

  add(files: Iterable<File>, voice = false): void {
    for (const file of files) {
      if (this.files.get().length >= MOST) break;
      if (file.size > LARGEST && !file.type.startsWith("image/")) {
        toast(`${safeName(file.name)}: 10 MB`);
        continue;
      }
      const view = file.type.startsWith("image/") ? URL.createObjectURL(file) : null;
      const key = ++keys;
      const { name, size } = file;
      this.files.set([...this.files.get(), { key, name, size, view, share: 0, upload: null, voice, caption: "" }]);
      void this.send(key, file, voice);
    }
  }

  /** One that the service has already. */
  put(upload: Upload, view: string): void {
    if (this.files.get().length >= MOST) return;
    const { name, size } = upload;
    this.files.set([
      ...this.files.get(),
      { key: ++keys, name, size, view, share: 1, upload, voice: false, caption: "" },
    ]);
  }

  write(key: number, caption: string): void {
    this.change(key, { caption });
  }

  private async send(key: number, file: File, voice: boolean): Promise<void> {
    const stop = new AbortController();
    this.stops.set(key, stop);
    const path = of(
      this.account,
      `uploads?name=${encodeURIComponent(file.name || t("file.attachment"))}&voice=${voice}`,
    );
    try {
      const done = await upload<Upload>("POST", path, file, (share) => this.change(key, { share }), stop.signal);
      this.change(key, { share: 1, upload: done });
    } catch (error) {
      if (stop.signal.aborted) return;
      toast(`${safeName(file.name)}: ${sentence(error)}`);
      this.remove(key);
    }
  }

  private change(key: number, to: Partial<Staged>): void {
    this.files.set(this.files.get().map((one) => (one.key === key ? { ...one, ...to } : one)));
  }

  remove(key: number): void {
    this.stops.get(key)?.abort();
    this.stops.delete(key);
    const gone = this.files.get().find((one) => one.key === key);
    if (gone?.view?.startsWith("blob:")) URL.revokeObjectURL(gone.view);
    this.files.set(this.files.get().filter((one) => one.key !== key));
  }

  clear(): void {
    for (const { key } of this.files.get()) this.remove(key);
  }

  /** Those that are loaded, which are then no longer staged. */
  take(): { ids: string[]; voice: boolean; captions: Record<string, string> } {
    const ready = this.files.get().filter((one) => one.upload);
    const ids = ready.map((one) => (one.upload as Upload).id);
    const written = ready.filter((one) => one.caption.trim());
    const captions = Object.fromEntries(written.map((one) => [(one.upload as Upload).id, one.caption.trim()]));
    const voice = ready.length === 1 && Boolean(ready[0]?.voice);
    for (const { key } of ready) this.remove(key);
    return { ids, voice, captions };
  }
}
