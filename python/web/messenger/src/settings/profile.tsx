/** The own name, picture and id; the recovery phrase. */
import { Button, TextField, toast } from "@allium/ui";
import { type FormEvent, useRef, useState } from "react";
import { patch, post, remove, upload } from "../api/client";
import { attempt, of, reloadState } from "../api/queries";
import type { Account } from "../api/types";
import { t } from "../i18n";
import { nameProblem } from "../onboarding/create";
import { PhraseWords } from "../onboarding/phrase";
import { OwnId } from "../people/new-conversation";
import { AccountAvatar } from "../shell/person";

/** The side of a profile picture (spec/messages, Media). */
const SIDE = 600;

/** The middle square of a picture, no larger than it may be, without whatever else the file said. */
async function square(file: File): Promise<Blob> {
  const image = await createImageBitmap(file);
  const side = Math.min(image.width, image.height);
  const size = Math.min(SIDE, side);
  const canvas = new OffscreenCanvas(size, size);
  const x = (image.width - side) / 2;
  const y = (image.height - side) / 2;
  canvas.getContext("2d")?.drawImage(image, x, y, side, side, 0, 0, size, size);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.88 });
}

export function Profile({ account }: { account: Account }) {
  const [name, setName] = useState(account.display_name);
  const [error, setError] = useState<string | null>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const problem = nameProblem(name);
    setError(problem);
    if (problem) return;
    if ((await attempt(patch(`accounts/${account.id}`, { display_name: name.trim() }))) === undefined) return;
    await reloadState();
    toast(t("settings.saved"));
  };
  const picture = async (file: File | undefined) => {
    if (!file) return;
    await attempt(square(file).then((small) => upload("PUT", of(account.id, "picture"), small)));
    await reloadState();
  };
  return (
    <>
      <div className="portrait start">
        <AccountAvatar of={account} size="large" />
        <div className="row">
          <input
            ref={chooser}
            type="file"
            accept="image/*"
            hidden
            onChange={(event) => void picture(event.target.files?.[0])}
          />
          <Button onClick={() => chooser.current?.click()}>{t("profile.changePicture")}</Button>
          {account.picture && (
            <Button kind="plain" onClick={() => void attempt(remove(of(account.id, "picture"))).then(reloadState)}>
              {t("profile.removePicture")}
            </Button>
          )}
        </div>
      </div>
      <form className="inline-form" onSubmit={(event) => void save(event)}>
        <TextField
          label={t("create.name")}
          error={error}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <Button type="submit" kind="primary" disabled={name === account.display_name}>
          {t("common.save")}
        </Button>
      </form>
      <OwnId account={account} />
    </>
  );
}

export function PhraseSection({ account }: { account: Account }) {
  const saved = () => void attempt(post(of(account.id, "phrase/seen"))).then(reloadState);
  return (
    <>
      <p className="muted">{t("phrase.hint")}</p>
      <PhraseWords account={account.id} />
      {!account.phrase_seen && (
        <Button kind="primary" onClick={saved}>
          {t("phrase.saved")}
        </Button>
      )}
    </>
  );
}
