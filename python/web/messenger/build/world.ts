/** The map of the network page: outlines of countries (Natural Earth, by world-atlas), projected and rounded in the build. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Plugin } from "vite";

const NAME = "virtual:world";
const WIDTH = 1000;
/** Nobody runs a node there, and it would take a quarter of the map. */
const LEFT_OUT = "010";

type Point = [number, number];
type Ring = number[];

interface Topology {
  transform: { scale: Point; translate: Point };
  arcs: Point[][];
  objects: { countries: { geometries: { id?: string; type: string; arcs: unknown }[] } };
}

/** The Equal Earth projection (Šavrič, Patterson and Jenny 2018): land has its true share of the map. */
function project([longitude, latitude]: Point): Point {
  const [a, b, c, d] = [1.340264, -0.081106, 0.000893, 0.003796];
  const t = Math.asin((Math.sqrt(3) / 2) * Math.sin((latitude * Math.PI) / 180));
  const slope = 9 * d * t ** 8 + 7 * c * t ** 6 + 3 * b * t ** 2 + a;
  const x = (2 * Math.sqrt(3) * ((longitude * Math.PI) / 180) * Math.cos(t)) / (3 * slope);
  return [x, d * t ** 9 + c * t ** 7 + b * t ** 3 + a * t];
}

const [FARTHEST] = project([180, 0]);
const SCALE = WIDTH / 2 / FARTHEST;
const TOP = project([0, 84])[1];
const HEIGHT = Math.round((TOP - project([0, -57])[1]) * SCALE);

function place(point: Point): Point {
  const [x, y] = project(point);
  return [Math.round(WIDTH / 2 + x * SCALE), Math.round((TOP - y) * SCALE)];
}

function rings(topology: Topology, of: { type: string; arcs: unknown }): Point[][] {
  const { scale, translate } = topology.transform;
  const arc = (index: number): Point[] => {
    let [x, y] = [0, 0];
    const points = (topology.arcs[index < 0 ? ~index : index] ?? []).map(([dx, dy]): Point => {
      [x, y] = [x + dx, y + dy];
      return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
    });
    return index < 0 ? points.reverse() : points;
  };
  const polygons = (of.type === "Polygon" ? [of.arcs] : of.arcs) as Ring[][];
  return polygons.flat().map((ring) => ring.flatMap((index, at) => arc(index).slice(at ? 1 : 0)));
}

function area(ring: Point[]): number {
  return ring.reduce((sum, [x, y], at) => {
    const [nextX, nextY] = ring[(at + 1) % ring.length] as Point;
    return sum + (x * nextY - nextX * y) / 2;
  }, 0);
}

/** The middle of the largest piece, not of all that belongs to a country. */
function centre(pieces: Point[][]): Point {
  const ring = pieces.reduce((one, other) => (Math.abs(area(other)) > Math.abs(area(one)) ? other : one));
  const whole = area(ring);
  const [x, y] = ring.reduce(
    ([sumX, sumY], [ax, ay], at) => {
      const [bx, by] = ring[(at + 1) % ring.length] as Point;
      const cross = ax * by - bx * ay;
      return [sumX + (ax + bx) * cross, sumY + (ay + by) * cross];
    },
    [0, 0],
  );
  return whole ? place([x / (6 * whole), y / (6 * whole)]) : place(ring[0] as Point);
}

function outline(pieces: Point[][]): string {
  const paths = pieces.map((ring) => {
    let last: Point = [Number.NaN, Number.NaN];
    const steps = ring.map(place).flatMap(([x, y], at) => {
      const [dx, dy] = [x - last[0], y - last[1]];
      if (dx === 0 && dy === 0) return [];
      last = [x, y];
      // What leaves the map on one side comes back on the other.
      return at && Math.abs(dx) < WIDTH / 2 ? [`l${dx},${dy}`] : [`M${x},${y}`];
    });
    return steps.length > 2 ? `${steps.join("")}z` : "";
  });
  return paths.join("");
}

/** ISO 3166-1's two letters of its number, by CLDR. */
const letters = (id: string): string => new Intl.Locale(`und-${id}`).region ?? "";

export function world(): Plugin {
  const read = (detail: string): Topology =>
    JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`world-atlas/countries-${detail}.json`), "utf8"));
  return {
    name: "world",
    resolveId: (id) => (id === NAME ? `\0${NAME}` : null),
    load(id) {
      if (id !== `\0${NAME}`) return null;
      const [coarse, fine] = [read("110m"), read("50m")];
      const outlines: [string, string][] = [];
      for (const each of coarse.objects.countries.geometries) {
        if (each.id !== LEFT_OUT) outlines.push([each.id ? letters(each.id) : "", outline(rings(coarse, each))]);
      }
      // The coarse map lacks small countries, in which nodes are like to be.
      const centres = Object.fromEntries(
        fine.objects.countries.geometries
          .filter((each) => each.id && each.id !== LEFT_OUT)
          .map((each) => [letters(each.id ?? ""), centre(rings(fine, each))]),
      );
      return `export default ${JSON.stringify({ width: WIDTH, height: HEIGHT, outlines, centres })};`;
    },
  };
}
