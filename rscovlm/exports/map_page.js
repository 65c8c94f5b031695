"use strict";
(function () {
  const content = JSON.parse(document.getElementById("content").textContent);
  const map = L.map("map", {
    crs: content.geographic ? L.CRS.EPSG3857 : L.CRS.Simple,
    attributionControl: false,
    minZoom: -8,
    maxZoom: 24,
    zoomSnap: 0.25,
    preferCanvas: content.shapes.length > 500,
  });
  const picture = L.imageOverlay(content.picture, content.bounds).addTo(map);
  if (content.geographic) L.control.scale().addTo(map);
  map.fitBounds(content.bounds);

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

  function row(group, colour, text, count) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", function () {
      if (box.checked) group.addTo(map);
      else group.remove();
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

  if (content.counts.length) heading("Objects");
  for (const [label, count] of content.counts) {
    const group = L.layerGroup().addTo(map);
    let colour = "#ffffff";
    for (const shape of content.shapes) {
      if (shape.label !== label) continue;
      colour = shape.colour;
      const polygon = L.polygon(shape.ring, { color: colour, weight: 2, fillOpacity: 0.08 }).addTo(group);
      const card = document.createElement("div");
      line(card, label).style.fontWeight = "700";
      if (shape.score !== null) line(card, "score " + shape.score);
      line(card, place(polygon.getBounds().getCenter()));
      polygon.bindPopup(card);
    }
    row(group, colour, label, count);
  }

  if (content.steps.length) heading("Looked at");
  content.steps.forEach(function (step, index) {
    const group = L.layerGroup().addTo(map);
    const name = String(index + 1);
    const window = L.polygon(step.ring, { color: step.colour, weight: 3, dashArray: "8 5", fill: false });
    const tip = L.tooltip({ permanent: true, direction: "right", className: "number", offset: [-4, 10] });
    tip.setLatLng(window.addTo(group).getBounds().getNorthWest()).setContent(name).addTo(group);
    row(group, step.colour, "step " + name);
  });

  document.getElementById("opacity").addEventListener("input", function (event) {
    picture.setOpacity(event.target.value / 100);
  });
  map.on("mousemove", function (event) {
    document.getElementById("place").textContent = place(event.latlng);
  });
})();
