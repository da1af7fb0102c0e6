declare module "virtual:languages" {
  const tags: string[];
  export default tags;
}

declare module "virtual:language-names" {
  const rows: import("@allium/ui").LanguageRow[];
  export default rows;
}

declare module "virtual:catalogues" {
  const catalogues: Record<string, (() => Promise<{ default: import("@lingui/core").Messages }>) | undefined>;
  export default catalogues;
}

declare module "virtual:catalogue/en" {
  const messages: import("@lingui/core").Messages;
  export default messages;
}

declare module "virtual:contracts" {
  export type Contract =
    | "SESH"
    | "RewardRatePool"
    | "ServiceNodeRewards"
    | "ServiceNodeContribution"
    | "ServiceNodeContributionFactory"
    | "FeeSplitter"
    | "TokenVestingStaking";
  export const abis: Record<Contract, import("viem").Abi>;
  export const errors: import("viem").Abi;
}
