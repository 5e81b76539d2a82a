// Choosing a host, in the picture or by its name, shows what leads to it and from it. On a live page (data-every seconds) what is
// shown is asked for again; without this script the page shows everything once.
const choose = (name) => {
  for (const svg of document.querySelectorAll("svg")) {
    svg.classList.toggle("chosen", Boolean(name));
    const near = new Set([name]);
    for (const path of svg.querySelectorAll("path[data-from]")) {
      const on = name && (path.dataset.from === name || path.dataset.to === name);
      path.classList.toggle("on", Boolean(on));
      if (on) near.add(path.dataset.from).add(path.dataset.to);
    }
    for (const box of svg.querySelectorAll(".box")) box.classList.toggle("on", near.has(box.dataset.name));
  }
};
document.addEventListener("click", (event) => {
  if (event.target.closest("fieldset, a")) return;
  const box = event.target.closest("[data-name]");
  chosen = box && box.dataset.name !== chosen ? box.dataset.name : null;
  choose(chosen);
});
let chosen = null;
const every = Number(document.body.dataset.every || 0);
if (every) {
  setInterval(async () => {
    const live = document.getElementById("live");
    try {
      const answer = await fetch("main", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      document.querySelector("main").innerHTML = await answer.text();
      live.textContent = "live";
      choose(chosen);
    } catch (error) {
      live.textContent = "the server does not answer: this is how it was";
    }
  }, every * 1000);
}
