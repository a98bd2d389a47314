// The matrix. Only the cells in sight exist: a row of padding above and below, a cell of padding left and right.

const grid = document.getElementById("grid");
const table = grid.querySelector("table");
const [colgroup, head, body] = ["colgroup", "thead", "tbody"].map((name) => table.querySelector(name));
const view = { lines: [], columns: [], wide: false, cell: 36, shown: "", focus: null, made: new Map(), madeFor: "", stop: null };
const SPARE_ROWS = 6;
// Columns come and go in blocks, so that scrolling sideways seldom makes them anew.
const BLOCK = 6;

function element(name, style, text) {
  const made = document.createElement(name);
  if (style) made.className = style;
  if (text !== undefined) made.textContent = text;
  return made;
}

// Sizes come from the style sheet, which knows phones.
function sizes() {
  const style = getComputedStyle(document.documentElement);
  const number = (name) => parseFloat(style.getPropertyValue(name));
  return { name: number("--name"), decision: number("--decision"), row: number("--row"), head: number("--head") };
}

// Shows these lines (rows and groups) and columns from the beginning.
function showGrid(rows, columns) {
  const lines = [];
  for (const row of rows) {
    const last = lines[lines.length - 1];
    if (!last || last.group !== row.group) lines.push({ group: row.group, count: 0, isGroup: true });
    lines.push({ group: row.group, row });
  }
  for (let at = lines.length - 1, count = 0; at >= 0; at -= 1) {
    if (lines[at].isGroup) { lines[at].count = count; count = 0; } else count += 1;
  }
  Object.assign(view, { lines, columns, focus: null });
  layOut();
}

// Decides how wide columns are: few columns get words, many get signs under upright names.
function layOut() {
  const size = sizes();
  const room = grid.clientWidth - size.name - size.decision;
  const each = room / Math.max(view.columns.length, 1);
  const isPhone = size.decision < 60;
  view.wide = each >= (isPhone ? 62 : 120);
  view.words = view.wide && each >= 120;
  view.cell = Math.max(each, 36);
  view.room = Math.floor((view.cell - 4) / 7.5);
  view.size = size;
  grid.classList.toggle("upright", !view.wide);
  grid.classList.toggle("worded", view.words);
  const longest = Math.max(4, ...view.columns.map((at) => Math.min(data.columns[at].name.length, isPhone ? 18 : 26)));
  document.documentElement.style.setProperty("--head", (view.wide ? 66 : 44 + longest * 6.6) + "px");
  view.size.head = sizes().head;
  table.style.width = size.name + size.decision + view.cell * view.columns.length + "px";
  table.setAttribute("aria-rowcount", view.lines.length + 1);
  table.setAttribute("aria-colcount", view.columns.length + 2);
  view.shown = view.madeFor = "";
  render();
}

// The lines and columns in sight, with a few to spare.
function inSight() {
  const { size, cell, lines, columns } = view;
  const top = Math.floor(grid.scrollTop / size.row);
  const first = Math.max(0, Math.min(top, lines.length) - SPARE_ROWS);
  const last = Math.min(lines.length, Math.ceil((grid.scrollTop + grid.clientHeight) / size.row) + SPARE_ROWS);
  const block = cell * BLOCK;
  const end = grid.scrollLeft + grid.clientWidth - size.name - size.decision;
  const left = Math.max(0, Math.floor(grid.scrollLeft / block) * BLOCK);
  const right = Math.min(columns.length, Math.ceil(end / block) * BLOCK);
  return { top, first, last: Math.max(first, last), left: Math.min(left, columns.length), right: Math.max(left, right) };
}

function render() {
  const sight = inSight();
  const key = Object.values(sight).join();
  if (key === view.shown) return;
  view.shown = key;
  const hadFocus = table.contains(document.activeElement);
  const columns = [sight.left, sight.right].join();
  if (columns !== view.madeFor) {
    view.madeFor = columns;
    view.made.clear();
    widths(sight);
    head.replaceChildren(headLine(sight));
    // Never without height: the browser would scroll to the top.
    body.replaceChildren(padding(0), padding(view.lines.length));
  }
  showCorner(sight.top);
  showLines(sight);
  mark(hadFocus);
}

// Lines that stay in sight are kept as they are.
function showLines(sight) {
  for (const [at, made] of view.made) {
    if (at >= sight.first && at < sight.last) continue;
    made.remove();
    view.made.delete(at);
  }
  let before = body.firstChild;
  for (let at = sight.first; at < sight.last; at += 1) {
    if (!view.made.has(at)) view.made.set(at, line(at, sight));
    const made = view.made.get(at);
    if (before.nextSibling !== made) before.after(made);
    before = made;
  }
  for (const [pad, lines] of [[body.firstChild, sight.first], [body.lastChild, view.lines.length - sight.last]]) {
    pad.style.height = lines * view.size.row + "px";
    pad.hidden = !lines;
  }
}

function widths({ left, right }) {
  const { size, cell, columns } = view;
  const all = [size.name, size.decision, left * cell, ...Array(right - left).fill(cell), (columns.length - right) * cell];
  colgroup.replaceChildren(...all.map((width) => {
    const col = element("col");
    col.style.width = width + "px";
    return col;
  }));
}

function padding(lines) {
  const row = element("tr");
  row.setAttribute("aria-hidden", "true");
  row.style.height = lines * view.size.row + "px";
  return row;
}

// A cell that the keyboard can reach, at its place in the whole grid.
function reachable(cell, at, column) {
  cell.tabIndex = -1;
  cell.dataset.at = at;
  cell.dataset.column = column;
  cell.setAttribute("aria-colindex", column + 1);
  return cell;
}

function pad() {
  const cell = element("td", "pad");
  cell.setAttribute("aria-hidden", "true");
  return cell;
}

function headLine({ left, right }) {
  const row = element("tr");
  row.setAttribute("aria-rowindex", 1);
  const corner = element("th", "name");
  corner.append(element("b"), element("span"));
  const decision = element("th", "decision");
  decision.append(element("span", "", "Guest gets"));
  row.append(corner, decision, pad());
  for (let at = left; at < right; at += 1) row.append(hostCell(at));
  row.append(pad());
  return row;
}

// The corner says in which leaf the first line in sight is.
function showCorner(top) {
  const line = view.lines[Math.min(top, view.lines.length - 1)];
  const label = line ? data.groups[line.group] : ["", ""];
  const corner = head.querySelector(".name");
  if (corner.firstChild.textContent === label[0]) return;
  corner.firstChild.textContent = label[0];
  corner.lastChild.textContent = label[1];
}

function hostCell(at) {
  const column = data.columns[view.columns[at]];
  const cell = reachable(element("th", "host"), -1, at + 2);
  cell.scope = "col";
  cell.append(element("div", "", column.name), element("u", "", column.hosts.length > 1 ? "\u00d7" + column.hosts.length : ""));
  cell.setAttribute("aria-label", column.hosts.length > 1 ? `${column.name} and ${column.hosts.length - 1} alike` : column.name);
  return cell;
}

function line(at, sight) {
  const { row, isGroup } = view.lines[at];
  const made = element("tr", isGroup ? "" : "line " + row.outcome);
  made.setAttribute("aria-rowindex", at + 2);
  if (isGroup) groupLine(made, at);
  else rowLine(made, row, at, sight);
  return made;
}

function groupLine(made, at) {
  const { group, count } = view.lines[at];
  const cell = reachable(element("th", "group", data.groups[group][0]), at, 0);
  cell.colSpan = 2;
  cell.scope = "rowgroup";
  cell.append(element("small", "", count === 1 ? "1 row" : count + " rows"));
  const rest = element("td", "rest");
  rest.colSpan = 100000;
  made.append(cell, rest);
}

function rowLine(made, row, at, { left, right }) {
  const name = reachable(element("th", "name"), at, 0);
  name.scope = "row";
  const box = element("div");
  box.append(element("b", "", row.name), element("i", "", row.place === row.name || row.name.endsWith(row.place) ? "" : row.place.replace(/^MSR\.[^[]*/, "")));
  name.append(box);
  const decision = reachable(element("td", "decision"), at, 1);
  decision.append(outcomeTag(row));
  made.append(name, decision, pad());
  for (let column = left; column < right; column += 1) made.append(matrixCell(row, at, column));
  made.append(pad());
}

function outcomeTag(row) {
  const tag = element("span", "tag " + row.outcome);
  const sign = element("span", "", OUTCOMES[row.outcome]);
  sign.setAttribute("aria-hidden", "true");
  tag.append(sign, element("span", "word", " " + row.outcome + (row.shown ? " " + row.shown : "")));
  return tag;
}

function matrixCell(row, at, column) {
  const { sign, letter, word, short, style, isHot } = cellAt(row, view.columns[column]);
  const isTooWide = letter && sign.length > view.room;
  const cell = reachable(element("td", `cell ${style}${isHot ? " hot " + row.outcome : ""}${isTooWide ? " code" : ""}`), at, column + 2);
  cell.textContent = isTooWide ? letter : sign;
  if (view.words && short) cell.append(element("span", "word", short));
  cell.setAttribute("aria-label", `${row.name}, ${data.columns[view.columns[column]].name}: ${word}`);
  return cell;
}

// One cell at a time takes part in the order of Tab.
function mark(takesFocus) {
  const { at, column } = view.focus || {};
  const wanted = view.focus && table.querySelector(`[data-at="${at}"][data-column="${column}"]`);
  const cell = wanted || body.querySelector("[data-at]");
  if (view.stop) view.stop.tabIndex = -1;
  view.stop = cell;
  if (!cell) return;
  cell.tabIndex = 0;
  if (takesFocus && wanted && document.activeElement !== wanted) wanted.focus({ preventScroll: true });
}

// Brings a cell into sight and gives it the focus.
function go(at, column) {
  const { size, cell, lines, columns } = view;
  at = Math.max(-1, Math.min(lines.length - 1, at));
  column = Math.max(at < 0 ? 2 : 0, Math.min(columns.length + 1, column));
  if (at >= 0 && lines[at].isGroup) column = 0;
  view.focus = { at, column };
  const top = at * size.row;
  const height = grid.clientHeight - size.head - 16;
  if (at >= 0 && top < grid.scrollTop) grid.scrollTop = top;
  if (top + size.row > grid.scrollTop + height) grid.scrollTop = top + size.row - height;
  const left = (column - 2) * cell;
  const width = grid.clientWidth - size.name - size.decision;
  if (column >= 2 && left < grid.scrollLeft) grid.scrollLeft = left;
  if (column >= 2 && left + cell > grid.scrollLeft + width) grid.scrollLeft = left + cell - width;
  view.shown = "";
  render();
  mark(true);
}

const KEYS = {
  ArrowUp: (at, column) => [at - 1, column], ArrowDown: (at, column) => [at + 1, column],
  ArrowLeft: (at, column) => [at, column - 1], ArrowRight: (at, column) => [at, column + 1],
  PageUp: (at, column) => [Math.max(0, at - 20), column], PageDown: (at, column) => [at + 20, column],
  Home: (at) => [at, 0], End: (at) => [at, Infinity],
};

function onKey(event) {
  const cell = event.target.closest("[data-at]");
  const step = KEYS[event.key];
  if (!cell || !step || event.altKey || event.metaKey) return;
  event.preventDefault();
  const at = Number(cell.dataset.at);
  const column = view.lines[at] && view.lines[at].isGroup && view.lastColumn ? view.lastColumn : Number(cell.dataset.column);
  const [line, next] = step(at, column);
  view.lastColumn = next === Infinity ? view.columns.length + 1 : Math.max(0, next);
  go(event.ctrlKey && event.key === "Home" ? 0 : event.ctrlKey && event.key === "End" ? Infinity : line, next);
}

grid.addEventListener("scroll", () => requestAnimationFrame(render), { passive: true });
grid.addEventListener("keydown", onKey);
new ResizeObserver(() => view.size && layOut()).observe(grid);
