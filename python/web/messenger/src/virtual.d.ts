declare module "virtual:catalogues" {
  const catalogues: Record<
    string,
    { share: number; load: () => Promise<{ default: import("@lingui/core").Messages }> } | undefined
  >;
  export default catalogues;
}

declare module "virtual:catalogue/en" {
  const messages: import("@lingui/core").Messages;
  export default messages;
}

declare module "virtual:world" {
  const world: {
    width: number;
    height: number;
    /** By ISO 3166-1's two letters, empty for what is no country's. */
    outlines: [country: string, path: string][];
    centres: Record<string, [number, number]>;
  };
  export default world;
}
