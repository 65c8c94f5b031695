"use strict";
// Outlines of any number of objects on one canvas. A grid over the map says which lie in view or under the pointer, so
// that neither drawing nor asking looks at all of them, and there is no element of the page for each.
const SIDE = 512; // cells across and down, at most
const MANY = 64; // cells that an object may lie in; larger ones are looked at every time
const SMALL = 3; // pixels: smaller objects are dots
const REACH = 4; // pixels from an outline at which a click is on it
const MARGIN = 0.25; // of the map's size, drawn around it so that it can be dragged

function boundsOf(xs, ys, start, end) {
  let x1 = Infinity, y1 = Infinity, x2 = -Infinity, y2 = -Infinity;
  for (let k = start; k < end; k++) {
    if (xs[k] < x1) x1 = xs[k];
    if (xs[k] > x2) x2 = xs[k];
    if (ys[k] < y1) y1 = ys[k];
    if (ys[k] > y2) y2 = ys[k];
  }
  return [x1, y1, x2, y2];
}

// All corners at scale 1 and the grid over them.
class ShapeGrid {
  constructor(map, shapes) {
    const count = shapes.length;
    this.count = count;
    this.starts = new Uint32Array(count + 1);
    for (let k = 0; k < count; k++) this.starts[k + 1] = this.starts[k] + shapes[k].ring.length;
    this.xs = new Float64Array(this.starts[count]);
    this.ys = new Float64Array(this.starts[count]);
    const unit = map.options.crs.scale(0);
    let at = 0;
    for (const shape of shapes) {
      for (const [latitude, longitude] of shape.ring) {
        const point = map.project(L.latLng(latitude, longitude), 0);
        this.xs[at] = point.x / unit;
        this.ys[at++] = point.y / unit;
      }
    }
    this.boxes = new Float64Array(4 * count);
    for (let k = 0; k < count; k++) {
      this.boxes.set(boundsOf(this.xs, this.ys, this.starts[k], this.starts[k + 1]), 4 * k);
    }
    [this.left, this.top, this.right, this.bottom] = boundsOf(this.xs, this.ys, 0, at);
    this.side = Math.max(1, Math.min(SIDE, Math.ceil(Math.sqrt(count / 4))));
    this.fill();
    this.stamp = new Uint32Array(count);
    this.asked = 0;
  }

  cells(x1, y1, x2, y2) {
    const cell = (value, low, high) =>
      Math.max(0, Math.min(this.side - 1, Math.floor(((value - low) / Math.max(high - low, 1e-300)) * this.side)));
    return [
      cell(x1, this.left, this.right), cell(y1, this.top, this.bottom),
      cell(x2, this.left, this.right), cell(y2, this.top, this.bottom),
    ];
  }

  fill() {
    this.grid = new Map();
    this.large = [];
    for (let k = 0; k < this.count; k++) {
      const [c1, r1, c2, r2] = this.cells(...this.boxes.subarray(4 * k, 4 * k + 4));
      if ((c2 - c1 + 1) * (r2 - r1 + 1) > MANY) {
        this.large.push(k);
        continue;
      }
      for (let r = r1; r <= r2; r++) {
        for (let c = c1; c <= c2; c++) {
          const key = r * this.side + c;
          if (!this.grid.has(key)) this.grid.set(key, []);
          this.grid.get(key).push(k);
        }
      }
    }
  }

  // The objects whose bounds meet a rectangle, each once.
  *within(x1, y1, x2, y2) {
    this.asked++;
    const meets = (k) =>
      this.boxes[4 * k] <= x2 && this.boxes[4 * k + 2] >= x1 && this.boxes[4 * k + 1] <= y2 && this.boxes[4 * k + 3] >= y1;
    for (const k of this.large) if (meets(k)) yield k;
    const [c1, r1, c2, r2] = this.cells(x1, y1, x2, y2);
    for (let r = r1; r <= r2; r++) {
      for (let c = c1; c <= c2; c++) {
        for (const k of this.grid.get(r * this.side + c) || []) {
          if (this.stamp[k] === this.asked || !meets(k)) continue;
          this.stamp[k] = this.asked;
          yield k;
        }
      }
    }
  }

  // Whether a point is inside an object, or within reach of its outline.
  holds(k, x, y, reach) {
    let inside = false, near = false;
    const start = this.starts[k], end = this.starts[k + 1];
    for (let i = start, j = end - 1; i < end; j = i++) {
      const ax = this.xs[j], ay = this.ys[j], bx = this.xs[i], by = this.ys[i];
      if (by > y !== ay > y && x < ((ax - bx) * (y - by)) / (ay - by) + bx) inside = !inside;
      const dx = bx - ax, dy = by - ay;
      const along = Math.max(0, Math.min(1, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1)));
      if (Math.hypot(x - ax - along * dx, y - ay - along * dy) <= reach) near = true;
    }
    return inside || near;
  }

  area(k) {
    return (this.boxes[4 * k + 2] - this.boxes[4 * k]) * (this.boxes[4 * k + 3] - this.boxes[4 * k + 1]);
  }
}

const ShapeLayer = L.Layer.extend({
  initialize: function (shapes, colours) {
    this._shapes = shapes;
    this._colours = colours; // of each object
    this._hidden = new Set();
  },
  onAdd: function (map) {
    this._grid = new ShapeGrid(map, this._shapes);
    this._canvas = L.DomUtil.create("canvas", "leaflet-zoom-hide", this.getPane());
    this._canvas.style.pointerEvents = "none";
    this.draw();
  },
  onRemove: function () {
    this._canvas.remove();
  },
  getEvents: function () {
    return { moveend: this.draw, resize: this.draw, viewreset: this.draw };
  },
  // Show or hide the objects of labels.
  show: function (labels, shown) {
    for (const label of labels) {
      if (shown) this._hidden.delete(label);
      else this._hidden.add(label);
    }
    this.draw();
  },
  // The smallest shown object at a place, or -1.
  at: function (point) {
    const scale = this._map.options.crs.scale(this._map.getZoom());
    const { x, y } = this._map.project(point).divideBy(scale);
    const reach = REACH / scale;
    let found = -1;
    for (const k of this._grid.within(x - reach, y - reach, x + reach, y + reach)) {
      if (this._hidden.has(this._shapes[k].label) || !this._grid.holds(k, x, y, reach)) continue;
      if (found < 0 || this._grid.area(k) < this._grid.area(found)) found = k;
    }
    return found;
  },
  draw: function () {
    const map = this._map, size = map.getSize(), grid = this._grid;
    const pad = size.multiplyBy(MARGIN).round();
    const corner = map.containerPointToLayerPoint([0, 0]).subtract(pad);
    const dots = window.devicePixelRatio || 1;
    const width = size.x + 2 * pad.x, height = size.y + 2 * pad.y;
    this._canvas.width = width * dots;
    this._canvas.height = height * dots;
    this._canvas.style.width = width + "px";
    this._canvas.style.height = height + "px";
    L.DomUtil.setPosition(this._canvas, corner);
    const scale = map.options.crs.scale(map.getZoom());
    const origin = map.getPixelOrigin().add(corner);
    const pen = this._canvas.getContext("2d");
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.lineWidth = 2;
    const paths = new Map();
    let drawn = 0;
    const [x1, y1] = [origin.x / scale, origin.y / scale];
    for (const k of grid.within(x1, y1, (origin.x + width) / scale, (origin.y + height) / scale)) {
      if (this._hidden.has(this._shapes[k].label)) continue;
      drawn++;
      const colour = this._colours[k];
      if (!paths.has(colour)) paths.set(colour, { path: new Path2D(), count: 0 });
      const one = paths.get(colour);
      const left = grid.boxes[4 * k] * scale - origin.x, top = grid.boxes[4 * k + 1] * scale - origin.y;
      const across = (grid.boxes[4 * k + 2] - grid.boxes[4 * k]) * scale;
      const down = (grid.boxes[4 * k + 3] - grid.boxes[4 * k + 1]) * scale;
      if (across < SMALL && down < SMALL) {
        pen.fillStyle = colour;
        pen.fillRect(left + across / 2 - 1, top + down / 2 - 1, 2, 2);
        continue;
      }
      for (let at = grid.starts[k]; at < grid.starts[k + 1]; at++) {
        const x = grid.xs[at] * scale - origin.x, y = grid.ys[at] * scale - origin.y;
        if (at === grid.starts[k]) one.path.moveTo(x, y);
        else one.path.lineTo(x, y);
      }
      one.path.closePath();
      // A path of all outlines would take browsers minutes.
      if (++one.count === 200) this._stroke(pen, paths, colour);
    }
    for (const colour of [...paths.keys()]) this._stroke(pen, paths, colour);
    this._canvas.dataset.drawn = drawn;
  },
  _stroke: function (pen, paths, colour) {
    const { path } = paths.get(colour);
    pen.strokeStyle = pen.fillStyle = colour;
    pen.globalAlpha = 0.08;
    pen.fill(path);
    pen.globalAlpha = 1;
    pen.stroke(path);
    paths.delete(colour);
  },
});
