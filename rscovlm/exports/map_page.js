"use strict";
(function () {
  const ROWS = 200; // labels with a switch of their own; the others share one
  const content = JSON.parse(document.getElementById("content").textContent);
  const map = L.map("map", {
    crs: content.geographic ? L.CRS.EPSG3857 : L.CRS.Simple,
    attributionControl: false,
    minZoom: -8,
    maxZoom: 24,
    zoomSnap: 0.25,
  });
  const picture = L.imageOverlay(content.picture, content.bounds).addTo(map);
  if (content.geographic) L.control.scale().addTo(map);

  // Text is set as text, never as markup: labels come from a model.
  function line(parent, text, className) {
    const element = document.createElement("div");
    element.textContent = text;
    if (className) element.className = className;
    parent.appendChild(element);
    return element;
  }

  // Longitudes beyond 180 degrees, as on a map over the 180th meridian, are shown as they are usually written.
  function degrees(latitude, longitude) {
    const turned = longitude - 360 * Math.floor((longitude + 180) / 360);
    return latitude.toFixed(6) + "\u00b0, " + turned.toFixed(6) + "\u00b0";
  }

  // The nearest point of the grid at which the place is known; the picture is not on a map (round a pole).
  function read(point) {
    const [[south, west], [north, east]] = content.bounds;
    const last = content.degrees.length - 1;
    const row = Math.round(((north - point.lat) / (north - south)) * last);
    const column = Math.round(((point.lng - west) / (east - west)) * last);
    if (row < 0 || column < 0 || row > last || column > last) return "";
    const [latitude, longitude] = content.degrees[row][column];
    return " (near " + latitude.toFixed(2) + "\u00b0, " + longitude.toFixed(2) + "\u00b0)";
  }

  function place(point) {
    if (content.geographic) return degrees(point.lat, point.lng);
    const pixels = "x " + point.lng.toFixed(1) + ", y " + (-point.lat).toFixed(1);
    return content.degrees ? pixels + read(point) : pixels;
  }

  function heading(text) {
    const element = document.createElement("h2");
    element.textContent = text;
    document.getElementById("layers").appendChild(element);
  }

  function row(switched, colour, text, count) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", function () {
      switched(box.checked);
    });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    const words = document.createElement("span");
    words.textContent = text;
    label.append(box, swatch, words);
    if (count !== undefined) {
      const number = document.createElement("span");
      number.className = "count";
      number.textContent = count;
      label.appendChild(number);
    }
    document.getElementById("layers").appendChild(label);
  }

  const shapes = new ShapeLayer(content.shapes, content.shapes.map((shape) => shape.colour)).addTo(map);
  const colours = new Map(content.shapes.map((shape) => [shape.label, shape.colour]));

  // The card of an object is made when it is asked for.
  map.on("click", function (event) {
    const found = shapes.at(event.latlng);
    if (found < 0) return;
    const shape = content.shapes[found];
    const card = document.createElement("div");
    line(card, shape.label).style.fontWeight = "700";
    if (shape.score !== null) line(card, "score " + shape.score);
    line(card, place(L.latLngBounds(shape.ring).getCenter()));
    L.popup().setLatLng(event.latlng).setContent(card).openOn(map);
  });

  if (content.counts.length) heading("Objects");
  for (const [label, count] of content.counts.slice(0, ROWS)) {
    row((shown) => shapes.show([label], shown), colours.get(label), label, count);
  }
  const rest = content.counts.slice(ROWS);
  if (rest.length) {
    const all = rest.reduce((sum, [, count]) => sum + count, 0);
    const labels = rest.map(([label]) => label);
    row((shown) => shapes.show(labels, shown), "#ffffff", rest.length + " more labels", all);
  }

  if (content.steps.length) heading("Looked at");
  content.steps.forEach(function (step, index) {
    const group = L.layerGroup().addTo(map);
    const name = String(index + 1);
    const window = L.polygon(step.ring, { color: step.colour, weight: 3, dashArray: "8 5", fill: false });
    const tip = L.tooltip({ permanent: true, direction: "right", className: "number", offset: [-4, 10] });
    tip.setLatLng(window.addTo(group).getBounds().getNorthWest()).setContent(name).addTo(group);
    row((shown) => (shown ? group.addTo(map) : group.remove()), step.colour, "step " + name);
  });

  document.getElementById("opacity").addEventListener("input", function (event) {
    picture.setOpacity(event.target.value / 100);
  });
  // The panel takes its room from the map on narrow screens, so the first view waits until it is filled.
  map.fitBounds(content.bounds);
  map.on("mousemove", function (event) {
    document.getElementById("place").textContent = place(event.latlng);
    map.getContainer().style.cursor = shapes.at(event.latlng) < 0 ? "" : "pointer";
  });
})();
