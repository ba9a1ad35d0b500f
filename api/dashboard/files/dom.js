// Elements are made of names and texts. Data only ever become text nodes and attributes,
// never markup.

const svgNames = new Set(["svg", "g", "path", "line", "text", "rect", "circle", "title"]);

// h makes an element. Properties that are functions listen to the event of that name,
// false and undefined leave an attribute out; children are elements or texts.
export function h(tag, properties = {}, ...children) {
  const element = svgNames.has(tag) && tag !== "title"
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "value") element.value = value;
    else if (value !== false && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

// setText changes a text only where it differs, so that nothing is read out twice.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// refocus gives the focus to an element if what had it is gone: otherwise the keyboard would
// have to begin at the top of the page again.
export function refocus(element) {
  const at = document.activeElement;
  if (!at || at === document.body || !at.checkVisibility()) element.focus();
}

// field is a control with its label.
export function field(label, control, extra = "") {
  return h("label", { class: `field ${extra}` }, h("span", {}, label), control);
}

// select is a list to choose from, of texts or [value, text].
export function select(options, value, changed) {
  const list = options.map((o) => (Array.isArray(o) ? o : [o, o]));
  const element = h("select", { change: () => changed?.(element.value) }, list.map(([v, text]) => h("option", { value: v }, text)));
  if (list.some(([v]) => v === value)) element.value = value;
  return element;
}

// table lays out rows; a column is [title, class]. On narrow screens each row becomes a
// block, whose cells are named by data-title.
export function table(caption, columns, rows) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
      h("tbody", {}, rows.map((cells) => row(columns, cells)))));
}

function row(columns, cells) {
  return h("tr", {}, columns.map(([title, kind], i) => h("td", { class: kind, "data-title": title }, cells[i])));
}

// failure shows what went wrong where it was asked for.
export function failure(error) {
  return h("p", { class: "failure", role: "alert" }, error.message);
}

// pending is the failure of a whole page. It is drawn again when the server answers, if
// it was away or not ready.
export function pending(error) {
  const shown = failure(error);
  if (error.status === 0 || error.status === 503) shown.dataset.pending = "";
  return shown;
}

// empty says that there is nothing, and what to do about it.
export function empty(text, ...more) {
  return h("div", { class: "empty" }, h("p", {}, text), ...more);
}

// ask shows a question that has to be answered first, and returns the answer.
export function ask(title, content, yes) {
  return new Promise((answer) => {
    const dialog = h("dialog", { close: () => { dialog.remove(); answer(dialog.returnValue === "yes"); } },
      h("h2", {}, title), content,
      h("div", { class: "buttons" },
        h("button", { class: "primary", click: () => dialog.close("yes") }, yes),
        h("button", { click: () => dialog.close("") }, "Cancel")));
    document.body.append(dialog);
    dialog.showModal();
  });
}
