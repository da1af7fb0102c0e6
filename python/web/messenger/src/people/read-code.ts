/** Reads a QR code of anything that can be drawn. What reads it is loaded when it is first needed. */

/** Longer sides are made smaller: a code fills enough of a picture. */
const SIDE = 1024;

export async function readCode(source: CanvasImageSource, width: number, height: number): Promise<string | null> {
  if (!width || !height) return null;
  const { default: read } = await import("jsqr");
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) return null;
  pen.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  return read(data, canvas.width, canvas.height)?.data || null;
}

export async function readPicture(file: Blob): Promise<string | null> {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  try {
    return await readCode(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}
