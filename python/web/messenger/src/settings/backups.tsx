/** Everything in one sealed file, and what was said as pages to read. */
import { Button, TextField, toast } from "@allium/ui";
import { type FormEvent, useEffect, useState } from "react";
import { get, post, sentence } from "../api/client";
import { of } from "../api/queries";
import type { Account, Job } from "../api/types";
import { type Key, number, t } from "../i18n";
import { Heading } from "../shell/heading";
import { Import } from "./import";

const ASK_EVERY = 500;

/** A job that runs in the service, followed until it ends. */
export function useJob(account: Account, done: Key = "backup.done") {
  const [id, setId] = useState<string | null>(null);
  const [job, setJob] = useState<Job | null>(null);
  useEffect(() => {
    if (!id) return;
    const timer = setInterval(async () => {
      try {
        const now = await get<Job>(of(account.id, `jobs/${id}`));
        setJob(now);
        if (now.error || now.state !== "running") {
          setId(null);
          toast(now.error || t(done));
        }
      } catch (error) {
        setId(null);
        toast(sentence(error));
      }
    }, ASK_EVERY);
    return () => clearInterval(timer);
  }, [account.id, id, done]);
  const start = async (what: string, body: object) => {
    try {
      const begun = await post<{ job: string }>(of(account.id, what), body);
      setId(begun.job);
    } catch (error) {
      toast(sentence(error));
    }
  };
  return { running: id !== null, job, start };
}

export function Backups({ account }: { account: Account }) {
  const [path, setPath] = useState("");
  const [password, setPassword] = useState("");
  const [folder, setFolder] = useState("");
  const { running, job, start } = useJob(account);
  const backup = (event: FormEvent) => {
    event.preventDefault();
    void start("backups", { path: path.trim(), ...(password && { password }) });
  };
  const pages = (event: FormEvent) => {
    event.preventDefault();
    void start("exports", { format: "html", path: folder.trim() });
  };
  return (
    <>
      <form className="stack-form" onSubmit={backup}>
        <p className="muted">{t("backup.hint")}</p>
        <TextField label={t("backup.path")} dir="ltr" value={path} onChange={(event) => setPath(event.target.value)} />
        <TextField
          label={t("backup.password")}
          type="password"
          autoComplete="new-password"
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <Button type="submit" kind="primary" disabled={running || !path.trim()}>
          {t("backup.make")}
        </Button>
      </form>
      <form className="stack-form" onSubmit={pages}>
        <Heading level={4}>{t("export.title")}</Heading>
        <p className="muted">{t("export.hint")}</p>
        <TextField
          label={t("export.path")}
          dir="ltr"
          value={folder}
          onChange={(event) => setFolder(event.target.value)}
        />
        <Button type="submit" disabled={running || !folder.trim()}>
          {t("export.make")}
        </Button>
      </form>
      <Import account={account} />
      <p role="status">
        {running && job
          ? t("backup.progress", { done: number(job.done), total: job.total === null ? "?" : number(job.total) })
          : ""}
      </p>
    </>
  );
}
