"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [NAME, OUTCOME, GLOBAL, RERANKED, SURE, TOP, CONDITIONS, DETAILS, SKIPPED, POSITIVES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const FINAL = data.two_stage ? RERANKED : GLOBAL;
  const PAGE = 100;
  const SVG = "http://www.w3.org/2000/svg";
  const list = document.getElementById("list");
  const more = document.getElementById("more");
  const controls = document.getElementById("controls");
  let chosen = [], shown = 0;

  function make(tag, kind, text, children) {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text !== undefined && text !== null) element.textContent = text;
    for (const child of children || []) element.append(child);
    return element;
  }

  function drawn(tag, attributes) {
    const element = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  const number = (value) => value === null ? "–" : Math.abs(value) >= 1000 ? String(Math.round(value)) : String(+value.toPrecision(4));
  const rank = (value) => value === null ? "–" : String(value);

  function cells(row) {
    const outcome = data.outcomes[row[OUTCOME]];
    const tag = make("span", "tag", null, [make("i", "dot " + outcome), outcome]);
    const notes = row[CONDITIONS].map((i) => data.conditions[i]);
    const name = make("span", "", null, [make("span", "name", row[NAME])]);
    if (notes.length) name.append(make("span", "small faint", "  " + notes.join(", ")));
    const ranks = data.two_stage ? rank(row[GLOBAL]) + " → " + rank(row[RERANKED]) : rank(row[GLOBAL]);
    const last = row[SKIPPED] !== null ? make("span", "top small faint", row[SKIPPED]) : make("span", "top name faint", row[TOP] || "–");
    return [tag, name, make("span", "ranks", ranks), make("span", "sure", number(row[SURE])), last];
  }

  function photo(index, kind, words) {
    const frame = make("div", "photo " + kind);
    if (index === null) {
      frame.append(make("div", "gone", "photo not found"));
    } else {
      const image = make("img");
      image.src = data.photos[index];
      image.alt = words;
      frame.append(image);
    }
    return frame;
  }

  function answer(top, at) {
    const facts = [top.right ? "right" : "wrong"];
    if (top.score !== null) facts.push("score " + number(top.score));
    if (top.matches !== null) facts.push(top.matches === 1 ? "1 match" : top.matches + " matches");
    if (top.distance !== null) facts.push(top.distance < 1000 ? number(+top.distance.toFixed(1)) + " m" : (top.distance / 1000).toFixed(1) + " km");
    return make("figure", "", null, [
      photo(top.photo, top.right ? "right" : "wrong", (top.right ? "right: " : "wrong: ") + top.name),
      make("figcaption", "", null, [make("b", "", at + 1 + ". "), facts.join(" · "), make("br"), make("span", "name", top.name)]),
    ]);
  }

  function matches(found) {
    const [[wa, ha], [wb, hb]] = found.sizes;
    const gap = 12, stacked = Math.min(wa / ha, wb / hb) > 2;
    const [sa, sb] = stacked ? [800 / wa, 800 / wb] : [400 / ha, 400 / hb];
    const [dx, dy] = stacked ? [0, ha * sa + gap] : [wa * sa + gap, 0];
    const width = stacked ? 800 : dx + wb * sb, height = stacked ? dy + hb * sb : 400;
    const svg = drawn("svg", { class: "matches", viewBox: `0 0 ${width.toFixed(1)} ${height.toFixed(1)}`, role: "img", "aria-label": found.caption });
    svg.append(drawn("image", { href: data.photos[found.photos[0]], width: wa * sa, height: ha * sa, preserveAspectRatio: "none" }));
    svg.append(drawn("image", { href: data.photos[found.photos[1]], x: dx, y: dy, width: wb * sb, height: hb * sb, preserveAspectRatio: "none" }));
    for (let i = found.lines.length - 1; i >= 0; i--) {
      const [xa, ya, xb, yb] = found.lines[i];
      const ends = { x1: (xa * sa).toFixed(1), y1: (ya * sa).toFixed(1), x2: (dx + xb * sb).toFixed(1), y2: (dy + yb * sb).toFixed(1) };
      svg.append(drawn("line", { ...ends, stroke: found.colours[i] }));
    }
    const what = found.best ? `Query and best answer (${found.right ? "right" : "wrong"}): ` : "Query and a right answer: ";
    return make("figure", "", null, [svg, make("figcaption", "", what + found.caption)]);
  }

  function behind(details, name) {
    const box = make("div", "behind");
    const query = make("figure", "", null, [photo(details.photo, "", "query " + name), make("figcaption", "", "Query")]);
    let second = query;
    if (details.regions !== null && details.photo !== null) {
      const heat = make("div", "photo");
      const layers = make("div", "heat");
      for (const index of [details.photo, details.regions]) {
        const image = make("img");
        image.src = data.photos[index];
        image.alt = index === details.photo ? "query " + name : "region confidence";
        layers.append(image);
      }
      heat.append(layers);
      second = make("figure", "", null, [heat, make("figcaption", "", "Regions of the query: brighter is more discriminative")]);
    }
    const first = details.matches.length ? details.matches.map(matches) : second === query ? [] : [query];
    if (first.length) {
      box.append(make("div", "pair", null, [make("div", "drawn", null, first), second]));
    } else {
      second.style.maxWidth = "26rem";
      box.append(second);
    }
    for (const stage of details.stages) {
      const tops = make("div", "tops", null, stage.top.map(answer));
      box.append(make("div", "", null, [make("h3", "", data.two_stage ? data.stages[stage.stage] : "best answers"), tops]));
    }
    return box;
  }

  function entry(row) {
    if (row[DETAILS] === null) return make("div", "row", null, cells(row));
    const details = make("details", "", null, [make("summary", "", null, cells(row))]);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(behind(data.details[row[DETAILS]], row[NAME]));
    });
    return details;
  }

  function show() {
    const next = chosen.slice(shown, shown + PAGE);
    list.append(...next.map(entry));
    shown += next.length;
    more.hidden = shown >= chosen.length;
    document.getElementById("found").textContent = chosen.length === data.rows.length ? `${shown} of ${chosen.length} shown` : `${chosen.length} of ${data.rows.length} queries; ${shown} shown`;
  }

  const low = (value) => value === null ? -Infinity : value;
  const ORDERS = {
    worst: null,  // as they come
    sure: (a, b) => low(b[SURE]) - low(a[SURE]) || 0,
    unsure: (a, b) => low(a[SURE]) - low(b[SURE]) || 0,
    rank: (a, b) => depth(b) - depth(a) || 0,
    name: (a, b) => a[NAME] < b[NAME] ? -1 : 1,
  };
  // Not found at all is deeper than any rank; what cannot be found comes last.
  const depth = (row) => row[POSITIVES] === 0 ? 0 : row[FINAL] === null ? 1e9 : row[FINAL];

  function choose() {
    const form = new FormData(controls);
    const picked = controls.elements.outcome.selectedOptions[0];
    const outcome = picked.dataset.outcome ? data.outcomes.indexOf(picked.dataset.outcome) : null;
    const condition = form.get("condition") ? Number(form.get("condition")) : null;
    const text = form.get("text").toLowerCase();
    chosen = data.rows.filter((row) =>
      (outcome === null || row[OUTCOME] === outcome) &&
      (condition === null || row[CONDITIONS].includes(condition)) &&
      (!form.get("pictured") || row[DETAILS] !== null) &&
      (!text || row[NAME].toLowerCase().includes(text)));
    const order = ORDERS[form.get("order")];
    if (order) chosen.sort(order);
    list.replaceChildren();
    shown = 0;
    show();
  }

  more.addEventListener("click", show);
  controls.addEventListener("input", choose);
  controls.addEventListener("submit", (event) => event.preventDefault());
  choose();
})();
