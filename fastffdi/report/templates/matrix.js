"use strict";
for (const part of document.querySelectorAll(".matrix")) {
  const known = JSON.parse(part.querySelector(".counts").textContent);
  const slider = part.querySelector("input"), at = part.querySelector(".at");
  const write = (name, text) => { part.querySelector(name).textContent = text; };
  const share = (some, all) => (all ? (some / all).toFixed(4) : "–");
  const show = () => {
    const k = Number(slider.value), alarms = known.realsCalled[k], hits = known.fakesCalled[k];
    const { reals, fakes } = known, rejected = reals - alarms;
    const cells = { "real-real": rejected, "real-fake": alarms, "fake-real": fakes - hits, "fake-fake": hits };
    for (const [cell, count] of Object.entries(cells)) {
      write(`[data-cell=${cell}]`, count.toLocaleString("en"));
    }
    write("[data-rate=tpr]", share(hits, fakes));
    write("[data-rate=fpr]", share(alarms, reals));
    write("[data-rate=accuracy]", share(hits + rejected, reals + fakes));
    write("[data-rate=balanced]", reals && fakes ? share(hits / fakes + rejected / reals, 2) : "–");
    at.textContent = String(Number(known.thresholds[k].toPrecision(6)));
    slider.setAttribute("aria-valuetext", at.textContent);
  };
  slider.addEventListener("input", show);
  for (const hidden of part.querySelectorAll("[hidden]")) hidden.hidden = false;
  show();
}
