// What does the page do once scripts run? Tooltips, arrow keys between points, sorting, and costs at other prices.
#include "harness/report/html/assets.hpp"

namespace chokepoint {

const std::string_view kPageScript = R"js(
"use strict";
// The formula of harness/report/html/what_if.cpp. null stands for a figure that is missing.
const cost = {
  usdPerUsefulHour(c) {
    const eps = c.electricity * c.pue;
    if (c.usdPerHour === null || (eps > 0 && c.powerW === null)) return null;
    return (c.usdPerHour + eps * (c.powerW === null ? 0 : c.powerW) / 1000) / c.utilisation;
  },
  usdOfWork(c, timeS, work, amount) {
    const usdPerHour = cost.usdPerUsefulHour(c);
    return usdPerHour === null ? null : timeS / 3600 * usdPerHour / work * amount;
  },
  breakEven(a, b, ratio) {
    const usdPerHour = cost.usdPerUsefulHour(a), eps = b.electricity * b.pue;
    if (usdPerHour === null || (eps > 0 && b.powerW === null)) return null;
    return ratio * usdPerHour * b.utilisation - eps * (b.powerW === null ? 0 : b.powerW) / 1000;
  }
};
const digits = (value, n) => Number(value.toPrecision(n)).toString();

function whatIf(data) {
  const form = document.querySelector("form.controls");
  if (!form) return;
  const byId = id => document.getElementById(id), hooks = new Map();
  for (const cell of document.querySelectorAll("[data-hook]")) hooks.set(cell.dataset.hook, cell);
  const show = (hook, value, text) => {
    const cell = hooks.get(hook);
    if (!cell) return;
    cell.textContent = value === null || !isFinite(value) ? "no price" : text;
    if (value === null) delete cell.dataset.v; else cell.dataset.v = value;
  };
  const costOf = (target, powerW) => {
    const price = Number(byId("price-" + target).value), use = Number(byId("use-" + target).value) / 100;
    return {usdPerHour: price > 0 ? price : null, utilisation: use > 0 ? use : 1, powerW,
            electricity: Number(byId("electricity").value), pue: Number(byId("pue").value)};
  };
  const update = () => {
    for (const r of data.records) {
      const usd = cost.usdOfWork(costOf(r.target, r.power_w), r.time_s, r.work, r.amount);
      show("cost-" + r.i, usd, usd === null ? "" : "$" + digits(usd, 4));
    }
    let least = Infinity, most = -Infinity, cheaper = 0, priced = 0;
    for (const p of data.pairs) {
      const a = costOf(p.a, p.power_a_w), b = costOf(p.b, p.power_b_w), even = cost.breakEven(a, b, p.s);
      show("even-" + p.i, even, even === null ? "" : "$" + digits(even, 3) + "/h");
      const hourA = cost.usdPerUsefulHour(a), hourB = cost.usdPerUsefulHour(b);
      const ratio = hourA === null || hourB === null ? null : hourB / (hourA * p.s);
      show("ratio-" + p.i, ratio, ratio === null ? "" : digits(ratio, 3) + " times");
      if (even !== null) { least = Math.min(least, even); most = Math.max(most, even); }
      if (ratio !== null) { ++priced; if (ratio < 1) ++cheaper; }
    }
    const says = least <= most ? "Break-even prices from $" + digits(least, 3) + " to $" + digits(most, 3) + " per hour. " : "";
    byId("what-if-says").textContent = says + (priced ? "Cheaper per unit of work in " + cheaper + " of " + priced + " comparisons." : "");
  };
  form.addEventListener("input", event => {
    const id = event.target.id, other = byId(id.endsWith("-r") ? id.slice(0, -2) : id + "-r");
    if (other) other.value = event.target.value;
    update();
  });
  form.addEventListener("reset", () => setTimeout(update));
  form.addEventListener("submit", event => event.preventDefault());
  update();
}

function sorting() {
  for (const table of document.querySelectorAll("table.sortable")) {
    table.querySelectorAll("thead th").forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending", body = table.tBodies[0];
        for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = row => { const cell = row.cells[column]; return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v); };
        const rows = [...body.rows].map(row => [key(row), row]);
        rows.sort(([a], [b]) => {
          if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;  // missing figures go last
          const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
          return up ? order : -order;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  }
}

function points() {
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);
  const show = (point, x, y) => {
    tip.textContent = point.getAttribute("aria-label");
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - box.width - 8)) + "px";
    tip.style.top = (y + 16 + box.height > innerHeight ? Math.max(4, y - box.height - 12) : y + 16) + "px";
  };
  const hide = () => { tip.hidden = true; };
  for (const svg of document.querySelectorAll("figure svg")) {
    const all = [...svg.querySelectorAll(".pt")];
    all.forEach((point, i) => {  // one stop of the Tab key per picture, arrows from there
      const title = point.querySelector("title");
      point.setAttribute("aria-label", title.textContent);
      title.remove();
      if (i > 0) point.tabIndex = -1;
    });
    svg.addEventListener("keydown", event => {
      const i = all.indexOf(document.activeElement), step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (event.key === "Escape") hide();
      if (i < 0 || !step) return;
      event.preventDefault();
      const next = all[(i + step + all.length) % all.length];
      all[i].tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
    svg.addEventListener("pointermove", event => {
      const point = event.target.closest(".pt");
      if (point) show(point, event.clientX, event.clientY); else hide();
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("focusin", event => {
      const point = event.target.closest(".pt");
      if (!point) return;
      const box = point.getBoundingClientRect();
      show(point, box.right, box.bottom);
    });
    svg.addEventListener("focusout", hide);
  }
}

if (typeof document !== "undefined") {
  document.documentElement.classList.add("scripted");
  points();
  sorting();
  whatIf(JSON.parse(document.getElementById("data").textContent));
}
)js";

}  // namespace chokepoint
