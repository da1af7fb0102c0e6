/** What is asked before a node is registered: nothing that has a default, unless one wants to be asked. */
import { Button, Switch, TextField } from "@allium/ui";
import { type FormEvent, type ReactNode, useState } from "react";
import { type Address, getAddress, isAddress } from "viem";
import { atomic, basisPoints, big, percent, typed } from "../chain/amount";
import { useAddresses, useWallet } from "../chain/reads";
import { t } from "../i18n";
import { Amount, Fact, Notice, Who } from "../parts/show";
import { start } from "../steps/begin";
import type { Step } from "../steps/job";
import { opening, reservedFor } from "./opening";
import { type PlaceInput, Places, placesOf } from "./places";
import type { Prepared } from "./registration";

/** The operator's fee of whoever does not choose one, hundredths of a percent. */
const USUAL_FEE = 1000;

interface FormProperties {
  made: Prepared;
  guided: boolean;
  onBack: () => void;
}

const addressOf = (text: string, otherwise: Address): Address | null => {
  const given = text.trim();
  return given === "" ? otherwise : isAddress(given) ? getAddress(given) : null;
};

function Frame({
  title,
  onBack,
  ready,
  onSubmit,
  children,
}: {
  title: string;
  onBack: () => void;
  ready: boolean;
  onSubmit: () => void;
  children: ReactNode;
}) {
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onSubmit();
  };
  return (
    <form className="card stack" onSubmit={submit} aria-label={title}>
      <h2>{title}</h2>
      {children}
      <div className="actions">
        <Button onClick={onBack}>{t("register.back")}</Button>
        <Button kind="primary" type="submit" disabled={!ready}>
          {t("register.go")}
        </Button>
      </div>
    </form>
  );
}

function Beneficiary({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  return (
    <TextField
      label={t("register.beneficiary")}
      hint={t("register.beneficiaryHint")}
      value={text}
      error={text.trim() && !isAddress(text.trim()) ? t("input.address") : null}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

export function SoloForm({ made, guided, onBack }: FormProperties) {
  const wallet = useWallet();
  const { data: at } = useAddresses();
  const [text, setText] = useState("");
  if (!wallet || !at) return null;
  const requirement = big(made.network.staking_requirement);
  const beneficiary = addressOf(text, wallet.account);
  const short = !made.via && made.held < requirement;
  const submit = () => {
    if (!beneficiary) return;
    const { signed, via } = made;
    const steps: Step[] = via
      ? [{ kind: "register", signed, beneficiary, via }]
      : [
          { kind: "approve", spender: at.ServiceNodeRewards, amount: requirement.toString() },
          { kind: "register", signed, beneficiary },
        ];
    start("job.register", {}, [...steps, { kind: "seen", pubkey: signed.ed25519 }]);
  };
  return (
    <Frame title={t("register.solo")} onBack={onBack} ready={beneficiary !== null && !short} onSubmit={submit}>
      {guided && <Beneficiary text={text} onChange={setText} />}
      <dl className="facts">
        <Fact label={t("register.ownAmount")}>
          <Amount units={requirement} />
        </Fact>
        {beneficiary && (
          <Fact label={t("register.beneficiary")}>
            <Who address={beneficiary} />
          </Fact>
        )}
      </dl>
      {short && <Notice kind="warning">{t("pot.notEnough")}</Notice>}
    </Frame>
  );
}

export function MultiForm({ made, guided, onBack }: FormProperties) {
  const wallet = useWallet();
  const least = big(made.network.min_operator_contribution);
  const most = big(made.network.staking_requirement);
  const { there } = made;
  const ownPlace = there?.places.find(({ address }) => address === there.operator);
  const [text, setText] = useState(typed(ownPlace?.amount ?? least));
  const [fee, setFee] = useState(((there?.fee ?? USUAL_FEE) / 100).toString());
  const [beneficiaryText, setBeneficiary] = useState("");
  const [places, setPlaces] = useState<PlaceInput[]>(() => (there ? reservedFor(there) : []));
  const [automatic, setAutomatic] = useState(!there?.manual);
  if (!wallet) return null;
  const amount = atomic(text);
  const points = basisPoints(fee);
  const beneficiary = addressOf(beneficiaryText, wallet.account);
  const kept = placesOf(places, text, wallet.account);
  const amountError =
    amount === null
      ? t("input.amount")
      : amount < least
        ? t("pot.tooLittle")
        : amount > most
          ? t("pot.tooMuch")
          : amount > made.held
            ? t("pot.notEnough")
            : null;
  const given = kept?.reduce((sum, one) => sum + big(one.amount), 0n) ?? 0n;
  const tooMany = given > most;
  const ready = !amountError && points !== null && beneficiary !== null && kept !== null && !tooMany;
  const submit = () => {
    if (amount === null || points === null || kept === null) return;
    const terms = { signed: made.signed, fee: points, places: kept, manual: !automatic };
    const stake = { amount: amount.toString(), beneficiary: beneficiary === wallet.account ? null : beneficiary };
    start("job.open", {}, opening(there, terms, stake));
  };
  return (
    <Frame title={t("register.multi")} onBack={onBack} ready={ready} onSubmit={submit}>
      {guided && (
        <>
          <TextField
            label={t("register.ownAmount")}
            value={text}
            inputMode="decimal"
            error={amountError}
            hint={
              <>
                {t("register.between")} <Amount units={least} /> – <Amount units={most} />
              </>
            }
            onChange={(event) => setText(event.target.value)}
          />
          <TextField
            label={t("register.fee")}
            value={fee}
            inputMode="decimal"
            error={points === null ? t("input.percent") : null}
            hint={t("register.feeHint")}
            onChange={(event) => setFee(event.target.value)}
          />
          <Beneficiary text={beneficiaryText} onChange={setBeneficiary} />
          <Places places={places} onChange={setPlaces} most={made.network.max_stakers - 1} />
          <Switch
            label={t("register.automatic")}
            hint={t("register.automaticHint")}
            checked={automatic}
            onChange={setAutomatic}
          />
        </>
      )}
      <dl className="facts">
        <Fact label={t("register.ownAmount")}>{amount === null ? "–" : <Amount units={amount} />}</Fact>
        <Fact label={t("pot.fee")}>{points === null ? "–" : percent(points)}</Fact>
        <Fact label={t("pot.activation")}>{automatic ? t("pot.byItself") : t("pot.byHand")}</Fact>
      </dl>
      {tooMany && <Notice kind="warning">{t("register.tooMuch")}</Notice>}
      {!guided && amountError && <Notice kind="warning">{amountError}</Notice>}
    </Frame>
  );
}
