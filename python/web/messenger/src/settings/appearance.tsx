/** Theme, accent and size, of this browser alone. */
import { Switch } from "@allium/ui";
import { type Key, t } from "../i18n";
import { choose, type Preferences, preferences } from "../prefs";
import { useStore } from "../store";

const ACCENTS: Preferences["accent"][] = ["green", "blue", "yellow", "pink", "purple", "orange", "red"];
const THEMES: Preferences["theme"][] = ["system", "light", "dark"];
const SIZES: Preferences["size"][] = ["small", "normal", "large", "huge"];
const SIZE_NAMES = { small: "A−", normal: "A", large: "A+", huge: "A++" };

function Segments<T extends string>({
  label,
  values,
  value,
  name,
  onChange,
}: {
  label: string;
  values: T[];
  value: T;
  name: (one: T) => string;
  onChange: (one: T) => void;
}) {
  return (
    <fieldset className="segments">
      <legend>{label}</legend>
      {values.map((one) => (
        <label key={one}>
          <input type="radio" name={label} checked={one === value} onChange={() => onChange(one)} />
          <span>{name(one)}</span>
        </label>
      ))}
    </fieldset>
  );
}

export function Appearance() {
  const chosen = useStore(preferences);
  return (
    <>
      <Segments
        label={t("theme.title")}
        values={THEMES}
        value={chosen.theme}
        name={(one) => t(`theme.${one}`)}
        onChange={(theme) => void choose({ theme })}
      />
      <fieldset className="swatches">
        <legend>{t("appearance.accent")}</legend>
        {ACCENTS.map((one) => (
          <label key={one} title={t(`accent.${one}` as Key)}>
            <input
              type="radio"
              name="accent"
              aria-label={t(`accent.${one}` as Key)}
              checked={chosen.accent === one}
              onChange={() => void choose({ accent: one })}
            />
            <span className="paint" data-paint={one} />
          </label>
        ))}
      </fieldset>
      <Segments
        label={t("appearance.size")}
        values={SIZES}
        value={chosen.size}
        name={(one) => SIZE_NAMES[one]}
        onChange={(size) => void choose({ size })}
      />
      <div>
        <Switch
          label={t("appearance.density")}
          checked={chosen.compact}
          onChange={(compact) => void choose({ compact })}
        />
        <Switch
          label={t("appearance.contrast")}
          checked={chosen.contrast}
          onChange={(contrast) => void choose({ contrast })}
        />
        <Switch
          label={t("appearance.motion")}
          checked={chosen.lessMotion}
          onChange={(lessMotion) => void choose({ lessMotion })}
        />
        <Switch
          label={t("appearance.enter")}
          hint={t("appearance.enterHint")}
          checked={chosen.enterSends}
          onChange={(enterSends) => void choose({ enterSends })}
        />
      </div>
    </>
  );
}
