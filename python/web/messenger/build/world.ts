/** The map of the network page: the outlines of countries that the package draws elsewhere too, and where to point at each. */
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

const NAME = "virtual:world";

type Point = [number, number];

interface World {
  width: number;
  height: number;
  /** `path`: rings, each `Mx,yldx,dy dx,dy…z`; `dot`: of a country too small to be drawn. */
  countries: Record<string, { path?: string; dot?: Point }>;
}

function rings(path: string): Point[][] {
  return path.split("z").flatMap((ring) => {
    const numbers = (ring.match(/-?\d+/g) ?? []).map(Number);
    let [x, y] = [0, 0];
    const points: Point[] = [];
    for (let at = 0; at + 1 < numbers.length; at += 2) {
      [x, y] = [x + (numbers[at] ?? 0), y + (numbers[at + 1] ?? 0)];
      points.push([x, y]);
    }
    return points.length > 2 ? [points] : [];
  });
}

/** Twice the area, and the centre, of a ring. */
function measured(ring: Point[]): { area: number; centre: Point } {
  let [area, sumX, sumY] = [0, 0, 0];
  ring.forEach(([x, y], at) => {
    const [nextX, nextY] = ring[(at + 1) % ring.length] as Point;
    const cross = x * nextY - nextX * y;
    area += cross;
    sumX += (x + nextX) * cross;
    sumY += (y + nextY) * cross;
  });
  return { area: Math.abs(area), centre: area ? [sumX / (3 * area), sumY / (3 * area)] : (ring[0] as Point) };
}

/** The middle of the largest piece, not of all that belongs to a country. */
function centre(path: string): Point {
  const pieces = rings(path).map(measured);
  const [x, y] = pieces.reduce((one, other) => (other.area > one.area ? other : one)).centre;
  return [Math.round(x), Math.round(y)];
}

/** `file` is what `python/web/atlas/prepare.py` writes. */
export function world(file: string): Plugin {
  return {
    name: "world",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load(id) {
      if (id !== `\0${NAME}`) return null;
      const { width, height, countries }: World = JSON.parse(readFileSync(file, "utf8"));
      const all = Object.entries(countries);
      const outlines = all.flatMap(([code, { path }]) => (path ? [[code, path]] : []));
      const centres = Object.fromEntries(all.map(([code, { path, dot }]) => [code, path ? centre(path) : dot]));
      return `export default ${JSON.stringify({ width, height, outlines, centres })};`;
    },
  };
}
