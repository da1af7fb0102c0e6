/** The contracts' ABIs, of which the Python package is the home, as viem wants them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAbi } from "viem";
import type { Plugin } from "vite";

const MODULE = "virtual:contracts";
const CONTRACTS = [
  "SESH",
  "RewardRatePool",
  "ServiceNodeRewards",
  "ServiceNodeContribution",
  "ServiceNodeContributionFactory",
  "FeeSplitter",
  "TokenVestingStaking",
];
/** Errors that contracts have from a library. */
const LIBRARY = "OpenZeppelin";

/** The declarations of a file and of what it includes. */
function declarations(directory: string, contract: string): string[] {
  const lines = readFileSync(join(directory, `${contract}.abi`), "utf8").split("\n");
  return lines.filter(Boolean).flatMap((line) => {
    const [, included] = /^include (\w+)$/.exec(line) ?? [];
    return included ? declarations(directory, included) : [line];
  });
}

/** Names that Solidity would take for its own words, which only matter to readers. */
const readable = (line: string): string => {
  const [, name, members] = /^struct (\w+)\((.*)\)$/.exec(line) ?? [];
  return name ? `struct ${name} { ${members?.replaceAll(",", ";")}; }` : line;
};

export function contracts(directory: string): Plugin {
  const abi = (contract: string) => parseAbi([...new Set(declarations(directory, contract))].map(readable));
  return {
    name: "contracts",
    resolveId: (id) => (id === MODULE ? `\0${MODULE}` : null),
    load(id) {
      if (id !== `\0${MODULE}`) return null;
      const all = Object.fromEntries(CONTRACTS.map((name) => [name, abi(name)]));
      const errors = [...CONTRACTS, LIBRARY].flatMap((name) => abi(name)).filter((entry) => entry.type === "error");
      return `export const abis = ${JSON.stringify(all)};\nexport const errors = ${JSON.stringify(errors)};`;
    },
  };
}
