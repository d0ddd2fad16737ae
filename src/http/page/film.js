// The film on its canvas: greys through window and level, a heat map laid over, zoom and move.
// In: pictures, gestures and keys. Out: pixels, and `changed` after each of them.
// The window works on the 8 bits of the preview, as a display does; it never reaches the model.

import { word } from "./words.js";

const GREYS = 256;
const ZOOM_MAX = 12;
const STEP = 8;
/** The middle button among those that are held down. */
const MIDDLE = 4;
/** Ground around the film, as on every picture of a reading. */
const GROUND = "#0b0d11";
/** What stands for a film that is not kept, so that its heat map still has a shape. */
const NO_FILM = "#1a1f27";

export class Film {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.pointers = new Map();
    this.tool = "window";
    this.opacity = 0.6;
    this.clear();
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Shows nothing. */
  clear() {
    this.greys = null;
    this.picture = null;
    this.heat = null;
    this.frame = null;
    this.reset();
  }

  /** Window, level, polarity, zoom and place as at first. */
  reset() {
    Object.assign(this, { width: GREYS, level: GREYS / 2, inverted: false, zoom: 1, x: 0, y: 0 });
    this.tone();
  }

  /** The film; null where it is not kept. */
  show(bitmap) {
    this.greys = null;
    if (bitmap) {
      this.frame = { width: bitmap.width, height: bitmap.height };
      this.picture = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = this.picture.getContext("2d", { willReadFrequently: true });
      context.drawImage(bitmap, 0, 0);
      const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height);
      this.greys = Uint8Array.from({ length: pixels.data.length / 4 }, (_, i) => pixels.data[4 * i]);
      this.pixels = pixels;
    }
    this.tone();
  }

  /** The heat map to lay over; null for none. */
  lay(bitmap) {
    this.heat = bitmap;
    if (bitmap && !this.frame) this.frame = { width: bitmap.width, height: bitmap.height };
    this.draw();
  }

  /** The grey that each stored grey is shown as. */
  table() {
    const low = this.level - this.width / 2;
    return Uint8ClampedArray.from({ length: GREYS }, (_, grey) => {
      const shown = ((grey - low) / this.width) * (GREYS - 1);
      return this.inverted ? GREYS - 1 - shown : shown;
    });
  }

  /** Greys through the window. */
  tone() {
    if (this.greys) {
      const table = this.table();
      const data = this.pixels.data;
      for (let i = 0, at = 0; i < this.greys.length; i += 1, at += 4) {
        data[at] = data[at + 1] = data[at + 2] = table[this.greys[i]];
      }
      this.picture.getContext("2d").putImageData(this.pixels, 0, 0);
    }
    this.draw();
  }

  /** Pixels of the canvas for one of the film. */
  scale() {
    const { width, height } = this.canvas;
    return Math.min(width / this.frame.width, height / this.frame.height) * this.zoom;
  }

  /** Draws in the next frame, once for all that changed until then. */
  draw() {
    this.due ??= requestAnimationFrame(() => {
      this.due = null;
      const { canvas } = this;
      const dots = window.devicePixelRatio || 1;
      const [width, height] = [Math.round(canvas.clientWidth * dots), Math.round(canvas.clientHeight * dots)];
      if (!width || !height) return;
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      this.paint(canvas.getContext("2d"), width, height);
      this.changed();
    });
  }

  /** Paints what is seen into a context of this size. */
  paint(context, width, height) {
    context.fillStyle = GROUND;
    context.fillRect(0, 0, width, height);
    if (!this.frame) return;
    const scale = this.scale();
    const [wide, high] = [this.frame.width * scale, this.frame.height * scale];
    const [left, top] = [(width - wide) / 2 + this.x * wide, (height - high) / 2 + this.y * high];
    context.imageSmoothingQuality = "high";
    if (this.greys) context.drawImage(this.picture, left, top, wide, high);
    else {
      context.fillStyle = NO_FILM;
      context.fillRect(left, top, wide, high);
    }
    if (this.heat && this.opacity > 0) {
      context.globalAlpha = this.opacity;
      context.drawImage(this.heat, left, top, wide, high);
      context.globalAlpha = 1;
    }
  }

  /** Another zoom, with the point (x, y) of the canvas, -0.5 to 0.5 of its sides, held in place. */
  zoomTo(zoom, x = 0, y = 0) {
    if (!this.frame) return;
    const next = Math.min(ZOOM_MAX, Math.max(1, zoom));
    const span = (side) => this.canvas[side] / (this.frame[side] * (this.scale() / this.zoom));
    this.x += x * span("width") * (1 / next - 1 / this.zoom);
    this.y += y * span("height") * (1 / next - 1 / this.zoom);
    this.zoom = next;
    this.settle();
  }

  /** Keeps the film from leaving its canvas. */
  settle() {
    const most = 0.5 - 0.5 / this.zoom;
    this.x = Math.min(most, Math.max(-most, this.x));
    this.y = Math.min(most, Math.max(-most, this.y));
    this.draw();
  }

  /** Another window and level. */
  windowBy(width, level) {
    this.width = Math.round(Math.min(2 * GREYS, Math.max(2, this.width + width)));
    this.level = Math.round(Math.min(GREYS, Math.max(0, this.level + level)));
    this.tone();
  }

  /** Moves by pixels of the page. */
  moveBy(x, y) {
    if (!this.frame) return;
    const dots = window.devicePixelRatio || 1;
    this.x += (x * dots) / (this.frame.width * this.scale());
    this.y += (y * dots) / (this.frame.height * this.scale());
    this.settle();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
    }
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** One pointer: window and level, or with Shift, the middle button or the tool for it, move; two: zoom between them. */
  drag(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [x, y] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (this.pointers.size === 2) this.pinch(event, before);
    else if (this.tool === "move" || event.shiftKey || event.buttons & MIDDLE) this.moveBy(x, y);
    else this.windowBy(x, y);
    this.pointers.set(event.pointerId, event);
  }

  pinch(event, before) {
    const other = [...this.pointers.values()].find((pointer) => pointer.pointerId !== event.pointerId);
    const span = (pointer) => Math.hypot(pointer.clientX - other.clientX, pointer.clientY - other.clientY);
    const between = { clientX: (before.clientX + other.clientX) / 2, clientY: (before.clientY + other.clientY) / 2 };
    this.zoomTo((this.zoom * span(event)) / Math.max(1, span(before)), ...this.placeOf(between));
    this.moveBy((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
  }

  wheel(event) {
    if (!this.frame) return;
    event.preventDefault();
    this.zoomTo(this.zoom * Math.exp(-event.deltaY / 400), ...this.placeOf(event));
  }

  /** Where on the canvas something is, -0.5 to 0.5 of its sides. */
  placeOf({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return [(clientX - box.left) / box.width - 0.5, (clientY - box.top) / box.height - 0.5];
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const move = this.tool === "move" || event.shiftKey;
    const steps = {
      ArrowLeft: () => (move ? this.moveBy(4 * STEP, 0) : this.windowBy(-STEP, 0)),
      ArrowRight: () => (move ? this.moveBy(-4 * STEP, 0) : this.windowBy(STEP, 0)),
      ArrowUp: () => (move ? this.moveBy(0, 4 * STEP) : this.windowBy(0, -STEP)),
      ArrowDown: () => (move ? this.moveBy(0, -4 * STEP) : this.windowBy(0, STEP)),
    };
    if (!steps[event.key]) return;
    event.preventDefault();
    steps[event.key]();
  }

  /** A PNG of what is seen, with lines of text below it. */
  async snapshot(lines) {
    const { width, height } = this.canvas;
    const em = Math.max(13, Math.round(width / 52));
    const picture = new OffscreenCanvas(width, height + Math.round((lines.length * 1.5 + 1) * em));
    const context = picture.getContext("2d");
    context.fillStyle = GROUND;
    context.fillRect(0, 0, picture.width, picture.height);
    this.paint(context, width, height);
    context.fillStyle = GROUND;
    context.fillRect(0, height, width, picture.height - height);
    lines.forEach((line, i) => {
      context.font = `${i ? "" : "600 "}${em}px "Segoe UI", Roboto, "Liberation Sans", Arial, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif`;
      context.fillStyle = i ? "#a9b4c0" : "#eef2f6";
      context.fillText(line, em, height + em * (1.6 + 1.5 * i), width - 2 * em);
    });
    return picture.convertToBlob({ type: "image/png" });
  }

  /** What is seen, in words. */
  described(finding) {
    if (!this.frame) return word("film");
    const heat = finding && this.heat;
    return heat ? word("filmWith", finding, Math.round(this.opacity * 100)) : word("filmAlone");
  }
}
