/**
 * What this browser keeps, sealed. Each record is encrypted by AES-GCM, with its name as additional data. The key of a round
 * of keeping is agreed on between a key pair of that round, whose private half is never stored, and the vault's own; so what
 * is kept can be written without the password, and read with it alone.
 *
 * The vault's private key cannot be taken out of the browser by a script; where there is a password it is stored encrypted
 * under one that PBKDF2 makes of it. Without one the browser's own files have key and records beside each other.
 */

const DATABASE = "kept";
const CURVE = { name: "ECDH", namedCurve: "P-256" };
const CIPHER = { name: "AES-GCM", length: 256 };
const ITERATIONS = 600_000;
const NONCE = 12;
const SALT = 16;

interface Sealed {
  nonce: Uint8Array<ArrayBuffer>;
  data: ArrayBuffer;
}

interface Keys {
  id: string;
  open: CryptoKey;
  /** The private half, or what it is under a password. */
  secret: CryptoKey | (Sealed & { salt: Uint8Array<ArrayBuffer>; iterations: number });
}

/** What leads to everything else: the round, its half of the key, and the sealed list. */
interface Head {
  keys: string;
  round: string;
  half: CryptoKey;
  sealed: Sealed;
}

interface Stored extends Sealed {
  /** When it must not be there any more, Unix milliseconds. */
  until?: number;
}

/** A part of what is kept: `until` where its messages disappear. */
export interface Part {
  value: unknown;
  until?: number | null;
}

/** Somebody else has made new keys, or put everything away. */
export class Superseded extends Error {}
export class WrongPassword extends Error {}

function asked<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let database: Promise<IDBDatabase> | null = null;

function opened(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("meta");
      request.result.createObjectStore("records").createIndex("until", "until");
    };
    request.onsuccess = () => {
      const closed = () => {
        database = null;
      };
      request.result.onclose = closed;
      request.result.onversionchange = () => {
        request.result.close();
        closed();
      };
      resolve(request.result);
    };
    request.onerror = () => {
      database = null;
      reject(request.error);
    };
  });
  return database;
}

/** Runs `work` in one transaction, which is whole or nothing. */
async function within<T>(
  mode: IDBTransactionMode,
  work: (meta: IDBObjectStore, records: IDBObjectStore) => Promise<T>,
): Promise<T> {
  const transaction = (await opened()).transaction(["meta", "records"], mode, { durability: "strict" });
  const ended = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the store gave it up"));
  });
  let result: T;
  try {
    result = await work(transaction.objectStore("meta"), transaction.objectStore("records"));
  } catch (error) {
    ended.catch(() => undefined);
    try {
      transaction.abort();
    } catch {
      // It has ended already.
    }
    throw error;
  }
  await ended;
  return result;
}

const random = (size: number) => crypto.getRandomValues(new Uint8Array(size));
const text = (given: string) => new TextEncoder().encode(given);

async function seal(key: CryptoKey, name: string, value: unknown): Promise<Sealed> {
  const nonce = random(NONCE);
  const how = { name: "AES-GCM", iv: nonce, additionalData: text(name) };
  return { nonce, data: await crypto.subtle.encrypt(how, key, text(JSON.stringify(value))) };
}

async function unseal<T>(key: CryptoKey, name: string, { nonce, data }: Sealed): Promise<T> {
  const how = { name: "AES-GCM", iv: nonce, additionalData: text(name) };
  return JSON.parse(new TextDecoder().decode(await crypto.subtle.decrypt(how, key, data))) as T;
}

const agreed = (open: CryptoKey, secret: CryptoKey) =>
  crypto.subtle.deriveKey({ name: "ECDH", public: open }, secret, CIPHER, false, ["encrypt", "decrypt"]);

async function ofPassword(password: string, salt: Uint8Array<ArrayBuffer>, iterations: number): Promise<CryptoKey> {
  const typed = await crypto.subtle.importKey("raw", text(password.normalize("NFKC")), "PBKDF2", false, ["deriveKey"]);
  const how = { name: "PBKDF2", hash: "SHA-256", salt, iterations };
  return crypto.subtle.deriveKey(how, typed, CIPHER, false, ["wrapKey", "unwrapKey"]);
}

/** Makes new keys, under a password if there is one. What was kept under others is gone. */
export async function renew(password: string | null): Promise<void> {
  const made = await crypto.subtle.generateKey(CURVE, password !== null, ["deriveKey"]);
  const keys: Keys = { id: crypto.randomUUID(), open: made.publicKey, secret: made.privateKey };
  if (password !== null) {
    const salt = random(SALT);
    const nonce = random(NONCE);
    const key = await ofPassword(password, salt, ITERATIONS);
    const data = await crypto.subtle.wrapKey("pkcs8", made.privateKey, key, { name: "AES-GCM", iv: nonce });
    keys.secret = { salt, nonce, data, iterations: ITERATIONS };
  }
  await within("readwrite", async (meta, records) => {
    records.clear();
    meta.clear();
    await asked(meta.put(keys, "keys"));
  });
}

/** Key and records are gone. */
export const wipe = (): Promise<unknown> =>
  within("readwrite", async (meta, records) => {
    records.clear();
    await asked(meta.clear());
  });

/** What opens it: nothing does where nothing is kept. */
export async function lockedBy(): Promise<"nothing" | "key" | "password"> {
  const keys = await within("readonly", (meta) => asked<Keys | undefined>(meta.get("keys")));
  if (!keys) return "nothing";
  return keys.secret instanceof CryptoKey ? "key" : "password";
}

export const isWritten = (): Promise<boolean> =>
  within("readonly", async (meta) => (await asked(meta.count("head"))) > 0);

/** What has disappeared elsewhere disappears here; it is named by its time, so that this needs no key. */
export const purge = (): Promise<unknown> =>
  within("readwrite", async (_, records) => {
    const gone = await asked(records.index("until").getAllKeys(IDBKeyRange.upperBound(Date.now())));
    for (const name of gone) records.delete(name);
  });

/** The service was heard of at this moment. */
export const seen = (time: number): Promise<unknown> =>
  within("readwrite", async (meta) => {
    if (await asked(meta.count("head"))) await asked(meta.put(time, "seen"));
  });

const place = (round: string, slot: string) => `${round}/${slot}`;

/** One round of keeping: it begins with nothing, and replaces the one before when it first says what there is. */
export class Writer {
  private begun = false;

  private constructor(
    private readonly keys: string,
    private readonly round: string,
    private readonly half: CryptoKey,
    private readonly key: CryptoKey,
  ) {}

  /** `null` without keys. */
  static async begin(): Promise<Writer | null> {
    const keys = await within("readonly", (meta) => asked<Keys | undefined>(meta.get("keys")));
    if (!keys) return null;
    const own = await crypto.subtle.generateKey(CURVE, false, ["deriveKey"]);
    const key = await agreed(keys.open, own.privateKey);
    return new Writer(keys.id, crypto.randomUUID(), own.publicKey, key);
  }

  /**
   * Puts slots in the place of what they had, takes others away, and says what there is now. What is `outdated` by the time
   * that it is written is not.
   */
  async write(
    slots: ReadonlyMap<string, Part[]>,
    gone: Iterable<string>,
    list: unknown,
    outdated: (slot: string) => boolean,
  ): Promise<void> {
    const made: [string, string, Stored][] = [];
    for (const [slot, parts] of slots) {
      for (const [number, { value, until }] of parts.entries()) {
        const name = `${place(this.round, slot)}/${number}`;
        const sealed = await seal(this.key, name, value);
        made.push([slot, name, until ? { ...sealed, until } : sealed]);
      }
    }
    const head: Head = {
      keys: this.keys,
      round: this.round,
      half: this.half,
      sealed: await seal(this.key, this.round, list),
    };
    await within("readwrite", async (meta, records) => {
      await this.check(meta);
      if (!this.begun) records.clear();
      for (const slot of [...slots.keys(), ...gone]) records.delete(this.all(slot));
      for (const [slot, name, value] of made) if (!outdated(slot)) records.put(value, name);
      meta.put(head, "head");
      await asked(meta.put(Date.now(), "seen"));
    });
    this.begun = true;
  }

  /** Takes what a slot has away at once; before this round has begun, everything. */
  async drop(slot: string | undefined): Promise<void> {
    await within("readwrite", async (meta, records) => {
      await this.check(meta);
      if (this.begun) {
        if (slot) records.delete(this.all(slot));
      } else {
        records.clear();
        await asked(meta.delete("head"));
      }
    });
  }

  private all(slot: string): IDBKeyRange {
    const start = `${place(this.round, slot)}/`;
    return IDBKeyRange.bound(start, `${start}\uffff`);
  }

  private async check(meta: IDBObjectStore): Promise<void> {
    const keys = await asked<Keys | undefined>(meta.get("keys"));
    if (keys?.id !== this.keys) throw new Superseded();
  }
}

/** What was kept last, opened. */
export interface Reader<List> {
  list: List;
  /** When the service was last heard of. */
  seen: number;
  /** The parts of a slot that are there and still may be. */
  parts: <T>(slot: string) => Promise<T[]>;
}

/** `null` if nothing is kept; `WrongPassword` if this does not open it. */
export async function read<List>(password: string | null): Promise<Reader<List> | null> {
  const [keys, head, time] = await within("readonly", (meta) =>
    Promise.all([
      asked<Keys | undefined>(meta.get("keys")),
      asked<Head | undefined>(meta.get("head")),
      asked<number | undefined>(meta.get("seen")),
    ]),
  );
  if (!keys || !head || head.keys !== keys.id) return null;
  let { secret } = keys;
  if (!(secret instanceof CryptoKey)) {
    const { salt, nonce, data, iterations } = secret;
    const key = await ofPassword(password ?? "", salt, iterations);
    try {
      secret = await crypto.subtle.unwrapKey("pkcs8", data, key, { name: "AES-GCM", iv: nonce }, CURVE, false, [
        "deriveKey",
      ]);
    } catch {
      throw new WrongPassword();
    }
  }
  const key = await agreed(head.half, secret);
  return {
    list: await unseal<List>(key, head.round, head.sealed),
    seen: time ?? 0,
    async parts<T>(slot: string) {
      const start = `${place(head.round, slot)}/`;
      const range = IDBKeyRange.bound(start, `${start}\uffff`);
      const [names, values] = await within("readonly", (_, records) =>
        Promise.all([asked(records.getAllKeys(range)), asked<Stored[]>(records.getAll(range))]),
      );
      const found = values.map(async (one, at) => {
        if (one.until && one.until <= Date.now()) return [];
        return [await unseal<T>(key, String(names[at]), one)];
      });
      return (await Promise.all(found)).flat();
    },
  };
}
