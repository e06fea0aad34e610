// What pictures share: a view of Vega without code made at run time, a note under the pointer, and the keyboard.

const FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif";
const views = new Map();

/** Draw a specification of Vega where `holder` is, over what was there. */
async function show(holder, specification) {
  const { view } = await window.vegaEmbed(holder, specification, {
    mode: "vega", ast: true, actions: false, renderer: "svg", defaultStyle: false, hover: false, tooltip: () => {},
  });
  views.get(holder)?.finalize();
  views.set(holder, view);
  holder.querySelector("svg")?.setAttribute("aria-hidden", "true"); // Its words are in the tables and beside it.
  return view;
}

/** How axes look in this theme. */
function looks() {
  const [ink, faint] = [color("muted"), color("line")];
  return {
    axis: {
      labelFont: FONT, titleFont: FONT, labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500, labelColor: ink,
      titleColor: ink, gridColor: faint, domainColor: faint, tickColor: faint, labelPadding: 6, titlePadding: 10,
    },
    text: { font: FONT, fontSize: 12 },
  };
}

const tip = el("div", { className: "tip", hidden: true });
document.body.append(tip);

/** Words beside the pointer while it is over something. */
function tips(view, words) {
  view.addEventListener("mousemove", (event, item) => {
    const said = item?.datum && words(item.datum);
    tip.hidden = !said;
    if (!said) return;
    tip.textContent = said;
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  });
  view.addEventListener("mouseout", () => { tip.hidden = true; });
}

/** Keys in a picture: arrows choose the next or the one before, Enter goes in, Escape comes back. */
function keys(holder, { list, chosen, choose, enter, leave }) {
  holder.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const all = list();
    if (step && all.length) {
      const at = all.indexOf(chosen());
      choose(all[at < 0 ? (step > 0 ? 0 : all.length - 1) : (at + step + all.length) % all.length]);
    } else if (event.key === "Enter") enter?.();
    else if (event.key === "Escape") leave?.();
    else return;
    event.preventDefault();
  });
}

/** Where a picture is, shown now that there is a script to fill it. */
function place(id) {
  const holder = document.getElementById(id);
  holder.closest(".drawn").hidden = false;
  return { holder, aside: document.getElementById(`${id}-chosen`) };
}

const channels = (hex) => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));

/** A colour between two, by parts of 255 in hexadecimal. */
function mix(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  const parts = a.map((one, at) => Math.round(one + (b[at] - one) * share));
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

function luminance(hex) {
  const [r, g, b] = channels(hex).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever reads better on a colour. */
const inkOn = (hex) => (luminance(hex) > 0.179 ? "#101418" : "#ffffff");
