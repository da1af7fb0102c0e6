/** What WalletConnect keeps: in the browser's own storage, in place of the package that brings three others. */
const PREFIX = "wc.1:";

export default class Kept {
  async getKeys(): Promise<string[]> {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX))
      .map((key) => key.slice(PREFIX.length));
  }

  async getEntries<T>(): Promise<[string, T][]> {
    const keys = await this.getKeys();
    return Promise.all(keys.map(async (key): Promise<[string, T]> => [key, (await this.getItem<T>(key)) as T]));
  }

  async getItem<T>(key: string): Promise<T | undefined> {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + key) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }

  async setItem(key: string, value: unknown): Promise<void> {
    try {
      localStorage.setItem(PREFIX + key, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing pairs anew after a reload.
    }
  }

  async removeItem(key: string): Promise<void> {
    localStorage.removeItem(PREFIX + key);
  }
}
