/** A map of the world with the countries that a path leads through. It is a part of the page: nobody is asked for it. */
import world from "virtual:world";
import { countryName, listed, t } from "../i18n";

/** How far apart dots in one country stand. */
const APART = 22;

export function WorldMap({ countries }: { countries: (string | null)[] }) {
  const seen = new Map<string, number>();
  const dots = countries.flatMap((country, index) => {
    const centre = country ? world.centres[country] : undefined;
    if (!country || !centre) return [];
    const before = seen.get(country) ?? 0;
    seen.set(country, before + 1);
    return [{ country, number: index + 1, x: centre[0] + before * APART * 2, y: centre[1] }];
  });
  const line = dots.map(({ x, y }, index) => {
    const last = dots[index - 1];
    if (!last) return `M${x},${y}`;
    const bend = Math.hypot(x - last.x, y - last.y) / 5;
    return `Q${(x + last.x) / 2},${(y + last.y) / 2 - bend} ${x},${y}`;
  });
  const names = dots.map(({ country }) => countryName(country));
  return (
    <svg
      className="world"
      viewBox={`0 0 ${world.width} ${world.height}`}
      width={world.width}
      height={world.height}
      role="img"
      aria-label={names.length ? t("network.mapOf", { countries: listed(names) }) : t("network.mapEmpty")}
    >
      {world.outlines.map(([country, outline]) => (
        <path key={country} d={outline} data-country={country} data-on={seen.has(country) ? "" : undefined} />
      ))}
      <path className="way" d={line.join("")} />
      {dots.map(({ number, x, y }) => (
        <g key={number} className="hop">
          <circle cx={x} cy={y} r={APART} />
          <text x={x} y={y} textAnchor="middle" dominantBaseline="central">
            {number}
          </text>
        </g>
      ))}
    </svg>
  );
}
