// Everything begins when the page is there; a picture that cannot be drawn leaves the tables as they are.

themes();
saving();
document.querySelectorAll("table.sortable").forEach((table) => {
  sorting(table);
  filtering(table);
});
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
});
if (typeof start !== "undefined") {
  await start();
  let [width, waiting] = [innerWidth, 0];
  addEventListener("resize", () => {
    if (innerWidth === width) return; // On a phone the height changes whenever the page is scrolled.
    width = innerWidth;
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 120);
  });
}
document.documentElement.dataset.drawn = "yes";
