/** The password, when it is asked for again, and who else may open the messenger. */
import { Button, Field, TextField, toast } from "@allium/ui";
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { get, patch, post, remove, request, sentence } from "../api/client";
import { attempt, client, of, reloadState, useService, useSettings } from "../api/queries";
import type { Account, Settings } from "../api/types";
import { duration, moment, t } from "../i18n";
import { passwordIs } from "../offline/wishes";
import { Heading } from "../shell/heading";
import { safeName } from "../text/safe";
import { KeepReadable } from "./keep";

const LOCK_AFTER = [0, 1, 5, 15, 60];
const SHORTEST = 6;

interface Device {
  id: string;
  name: string;
  seen: number;
  current: boolean;
}

function Password({ set }: { set: boolean }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [error, setError] = useState<string | null>(null);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    if (next.length < SHORTEST) return setError(t("lockset.short"));
    try {
      await request("PUT", "password", { new: next, ...(set && { old }) });
      void passwordIs(next);
      setOld("");
      setNext("");
      setError(null);
      toast(t("settings.saved"));
      await reloadState();
    } catch (failure) {
      setError(sentence(failure));
    }
  };
  return (
    <form className="stack-form" onSubmit={(event) => void save(event)}>
      {set && (
        <TextField
          label={t("lockset.old")}
          type="password"
          autoComplete="current-password"
          value={old}
          onChange={(event) => setOld(event.target.value)}
        />
      )}
      <TextField
        label={t("lockset.password")}
        hint={t("lockset.passwordHint")}
        error={error}
        type="password"
        autoComplete="new-password"
        value={next}
        onChange={(event) => setNext(event.target.value)}
      />
      <div>
        <Button type="submit" disabled={!next}>
          {t(set ? "lockset.change" : "lockset.set")}
        </Button>
      </div>
    </form>
  );
}

interface Pairing {
  code: string;
  url: string;
  fingerprint: string;
}

function Telephone() {
  const [pairing, setPairing] = useState<Pairing | null>(null);
  const begin = async () => setPairing((await attempt(post<Pairing>("pairing"))) ?? null);
  return (
    <section className="stack-form">
      {pairing && (
        <div className="own-id">
          <p>{t("pair.scan")}</p>
          <img className="qr" src={`/api/qr?text=${encodeURIComponent(pairing.url)}`} alt={t("pair.add")} />
          <code className="mono wrap">{pairing.url.split("#")[0]}</code>
          <p>
            {t("pair.code")}: <b className="mono">{pairing.code}</b>
          </p>
          <p className="muted small wrap">
            {t("pair.fingerprint")} <code className="mono">{pairing.fingerprint}</code>
          </p>
        </div>
      )}
      <div>
        <Button onClick={() => void begin()}>{t("pair.add")}</Button>
      </div>
    </section>
  );
}

function Devices() {
  const devices = useQuery({ queryKey: ["devices"], queryFn: () => get<Device[]>("devices"), staleTime: 0 }).data;
  const revoke = async (id: string) => {
    await attempt(remove(`devices/${id}`));
    await client.invalidateQueries({ queryKey: ["devices"] });
  };
  return (
    <section>
      <Heading level={4}>{t("devices.title")}</Heading>
      <ul>
        {devices?.map((one) => (
          <li key={one.id} className="member">
            <span className="grow">
              {safeName(one.name)}
              <span className="muted small">
                {" "}
                {one.current ? t("devices.this") : t("devices.seen", { time: moment(one.seen) })}
              </span>
            </span>
            {!one.current && <Button onClick={() => void revoke(one.id)}>{t("common.remove")}</Button>}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function LockSettings({ account }: { account: Account }) {
  const settings = useSettings(account.id).data;
  const set = useService().data?.password ?? false;
  const change = async (auto_lock_minutes: number) => {
    const key = [account.id, "settings"];
    client.setQueryData<Settings>(key, (old) => old && { ...old, auto_lock_minutes });
    if ((await attempt(patch(of(account.id, "settings"), { auto_lock_minutes }))) === undefined) {
      await client.invalidateQueries({ queryKey: key });
    }
  };
  return (
    <>
      <Password set={set} />
      {set && settings && (
        <Field label={t("lockset.auto")}>
          {(attributes) => (
            <select
              className="input"
              value={settings.auto_lock_minutes}
              onChange={(event) => void change(Number(event.target.value))}
              {...attributes}
            >
              {LOCK_AFTER.map((minutes) => (
                <option key={minutes} value={minutes}>
                  {minutes ? duration(minutes * 60) : t("lockset.never")}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {set ? (
        <div>
          <Button onClick={() => void attempt(post("lock"))}>{t("lock.now")}</Button>
        </div>
      ) : (
        <p className="muted">{t("lockset.needed")}</p>
      )}
      <KeepReadable locked={set} />
      <Devices />
      <Telephone />
    </>
  );
}
