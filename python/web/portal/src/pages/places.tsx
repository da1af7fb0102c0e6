/** Places that are kept for others: addresses, and what each has to stake. */
import { Button, IconButton, TextField } from "@allium/ui";
import { Plus, Trash2 } from "lucide-react";
import { type Address, getAddress, isAddress } from "viem";
import { atomic } from "../chain/amount";
import { t } from "../i18n";

export interface PlaceInput {
  id: string;
  address: string;
  amount: string;
}

export type Reserved = { addr: Address; amount: string }[];

/** The list as the contract wants it, the operator's own place first; `null` while something of it is wrong. */
export function placesOf(places: PlaceInput[], own: string | null, operator: Address): Reserved | null {
  if (!places.length) return [];
  const first = own === null ? null : atomic(own);
  if (first === null) return null;
  const made: Reserved = [{ addr: operator, amount: first.toString() }];
  for (const { address, amount } of places) {
    const units = atomic(amount);
    if (units === null || !isAddress(address.trim())) return null;
    const addr = getAddress(address.trim());
    if (made.some((one) => one.addr === addr)) return null;
    made.push({ addr, amount: units.toString() });
  }
  return made;
}

export function Places({
  places,
  onChange,
  most,
}: {
  places: PlaceInput[];
  onChange: (places: PlaceInput[]) => void;
  most: number;
}) {
  const set = (id: string, part: Partial<PlaceInput>) =>
    onChange(places.map((one) => (one.id === id ? { ...one, ...part } : one)));
  return (
    <fieldset className="places">
      <legend>{t("register.places")}</legend>
      <p className="muted">{t("register.placesHint")}</p>
      {places.map(({ id, address, amount }) => (
        <div key={id} className="place">
          <TextField
            label={t("register.placeAddress")}
            value={address}
            error={address.trim() && !isAddress(address.trim()) ? t("input.address") : null}
            onChange={(event) => set(id, { address: event.target.value })}
          />
          <TextField
            label={t("register.placeAmount")}
            value={amount}
            inputMode="decimal"
            error={amount && atomic(amount) === null ? t("input.amount") : null}
            onChange={(event) => set(id, { amount: event.target.value })}
          />
          <IconButton label={t("register.placeRemove")} onClick={() => onChange(places.filter((one) => one.id !== id))}>
            <Trash2 />
          </IconButton>
        </div>
      ))}
      {places.length < most && (
        <Button onClick={() => onChange([...places, { id: String(Math.random()), address: "", amount: "" }])}>
          <Plus /> {t("register.placeAdd")}
        </Button>
      )}
    </fieldset>
  );
}
