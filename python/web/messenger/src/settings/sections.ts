/** The sections of the settings, by the name that their address has. */
import type { Key } from "../i18n";

export const SECTIONS: { id: string; label: Key }[] = [
  { id: "profile", label: "settings.profile" },
  { id: "phrase", label: "profile.phrase" },
  { id: "privacy", label: "settings.privacy" },
  { id: "notifications", label: "settings.notifications" },
  { id: "appearance", label: "settings.appearance" },
  { id: "language", label: "settings.language" },
  { id: "lock", label: "settings.lock" },
  { id: "network", label: "settings.network" },
  { id: "backups", label: "settings.backups" },
  { id: "blocked", label: "settings.blocked" },
  { id: "data", label: "settings.data" },
  { id: "help", label: "settings.help" },
];
