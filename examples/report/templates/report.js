"use strict";
// Switches: one part of the channels is shown at a time. Without this script all are.
for (const box of document.querySelectorAll(".switched")) {
  const show = (chosen) => {
    box.dataset.shown = chosen;
    for (const part of box.querySelectorAll(".part")) {
      part.hidden = part.dataset.part !== chosen;
      if (part.hidden) for (const sound of part.querySelectorAll("audio")) sound.pause();
    }
  };
  for (const input of box.querySelectorAll(".switch input")) input.addEventListener("change", () => show(input.value));
  const checked = box.querySelector(".switch input:checked");
  if (checked) show(checked.value);
}

// One sound at a time.
document.addEventListener("play", (event) => {
  for (const sound of document.querySelectorAll("audio")) if (sound !== event.target) sound.pause();
}, true);

// What takes time to draw waits until it is nearly in sight, or goes to paper.
const waiting = new Map();
const start = (box) => { waiting.get(box)?.(box); waiting.delete(box); watch.unobserve(box); };
const watch = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) start(entry.target);
}, { rootMargin: "150%" });
const soon = (box, draw) => { waiting.set(box, draw); watch.observe(box); };

// Maps of features: a colour and a shape for each value of a label.
const SVG = "http://www.w3.org/2000/svg";
const SHAPES = ["M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-3.6-3.6h7.2v7.2h-7.2z", "M0-4.8L4.6 3.6h-9.2z", "M0-5L4.4 0 0 5-4.4 0z", "M0 4.8L-4.6-3.6h9.2z"];
const mark = (value) => {
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[Math.floor(value / 8) % SHAPES.length]);
  path.style.fill = `var(--c${value % 8})`;
  path.classList.add("mark");
  return path;
};
const collator = new Intl.Collator("en", { numeric: true });
const space = (box) => {
  const { places, explained, labels, names } = JSON.parse(box.querySelector("script").textContent);
  const keys = box.querySelector(".keys");
  const readout = box.querySelector("[data-readout]");
  const choice = (name) => box.querySelector(`[data-choice="${name}"]`)?.value;
  let alone = null;
  const dim = () => {
    for (const point of box.querySelectorAll(".map .mark")) point.classList.toggle("off", alone !== null && point.dataset.value !== alone);
    for (const button of keys.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.value === alone));
  };
  const draw = () => {
    const values = labels[choice("label")] ?? names.map(() => "sample");
    const kinds = [...new Set(values)].sort(collator.compare);
    const number = new Map(kinds.map((kind, index) => [kind, index]));
    for (const map of box.querySelectorAll(".map")) {
      const side = map.dataset.side;
      const here = places[choice("features")]?.[side]?.[choice("projection")];
      const says = box.querySelector(`[data-says="${side}"]`);
      map.replaceChildren();
      if (!here) {
        const text = document.createElementNS(SVG, "text");
        text.setAttribute("x", "160"); text.setAttribute("y", "165"); text.setAttribute("text-anchor", "middle");
        text.textContent = "no such channels";
        map.append(text);
        says.textContent = "";
        continue;
      }
      const shares = explained[choice("features")][side];
      says.textContent = choice("projection") === "PCA" ? `two components, ${shares.map((share) => share.toFixed(0) + " %").join(" and ")} of the variance` : `t-SNE, ${here.length} samples`;
      here.forEach(([x, y], index) => {
        const point = mark(number.get(values[index]));
        point.setAttribute("transform", `translate(${(14 + 292 * x).toFixed(1)} ${(306 - 292 * y).toFixed(1)})`);
        point.dataset.value = values[index];
        const title = document.createElementNS(SVG, "title");
        title.textContent = names[index];
        point.append(title);
        point.addEventListener("pointerenter", () => { readout.textContent = names[index]; });
        map.append(point);
      });
    }
    keys.replaceChildren(...kinds.map((kind) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.value = kind;
      const sample = document.createElementNS(SVG, "svg");
      sample.setAttribute("viewBox", "-6 -6 12 12");
      sample.setAttribute("aria-hidden", "true");
      sample.append(mark(number.get(kind)));
      button.append(sample, kind);
      button.addEventListener("click", () => {
        alone = alone === kind ? null : kind;
        readout.textContent = alone === null ? "All samples." : `${values.filter((value) => value === kind).length} samples: ${kind}`;
        dim();
      });
      item.append(button);
      return item;
    }));
    alone = null;
    dim();
  };
  for (const select of box.querySelectorAll("select")) select.addEventListener("change", draw);
  draw();
};
for (const box of document.querySelectorAll(".space")) soon(box, space);

// On paper everything is open.
let closed = [];
addEventListener("beforeprint", () => {
  for (const box of [...waiting.keys()]) start(box);
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const part of closed) part.open = true;
});
addEventListener("afterprint", () => { for (const part of closed) part.open = false; });
