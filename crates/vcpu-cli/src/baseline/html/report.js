// Tools, the note with the cause, colours, and the address that remembers them.

const find = (id) => document.getElementById(id);
const tools = { find: find("find"), host: find("host"), leaf: find("leaf"), differs: find("differs") };
const filter = { find: "", host: "", leaf: "", differs: null, outcomes: new Set(), states: new Set(), theme: "auto" };
const card = find("card");

// The address: #find=avx&decision=withheld,raised&theme=dark
function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const list = (key, known) => new Set((address.get(key) || "").split(",").filter((word) => word in known));
  filter.find = address.get("find") || "";
  filter.host = address.get("host") || "";
  filter.leaf = address.has("leaf") && address.get("leaf") in data.groups ? address.get("leaf") : "";
  filter.differs = address.has("differs") ? address.get("differs") === "1" : null;
  filter.outcomes = list("decision", OUTCOMES);
  filter.states = list("state", STATES);
  filter.theme = ["light", "dark"].includes(address.get("theme")) ? address.get("theme") : "auto";
}

function writeAddress() {
  const address = new URLSearchParams();
  const put = (key, value) => value && address.set(key, value);
  put("find", filter.find);
  put("host", filter.host);
  put("leaf", filter.leaf);
  if (filter.differs !== null) put("differs", filter.differs ? "1" : "0");
  put("decision", [...filter.outcomes].join());
  put("state", [...filter.states].join());
  put("theme", filter.theme === "auto" ? "" : filter.theme);
  const hash = address.toString();
  try {
    history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search);
  } catch { /* Some browsers forbid it for local files; the page works without. */ }
}

function paint() {
  if (filter.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = filter.theme;
  for (const button of document.querySelectorAll(".theme button")) button.setAttribute("aria-pressed", button.dataset.theme === filter.theme);
}

// A button that shows only what it says, with how many rows that would be.
function chip(box, set, key, sign, style, text, count) {
  const button = element("button");
  button.type = "button";
  button.dataset.key = key;
  const mark = element("span", "sign " + style, sign);
  mark.setAttribute("aria-hidden", "true");
  button.append(mark, element("span", "", text), element("span", "many", count));
  button.addEventListener("click", () => {
    if (!set().delete(key)) set().add(key);
    update();
  });
  box.append(button);
}

function makeChips() {
  const all = data.columns.map((_, at) => at);
  for (const [outcome, sign] of Object.entries(OUTCOMES)) {
    const count = data.rows.filter((row) => row.outcome === outcome).length;
    if (count) chip(find("outcomes"), () => filter.outcomes, outcome, sign, outcome, outcome, count);
  }
  for (const key of ORDER) {
    const { sign, style, chip: text } = STATES[key];
    const count = data.rows.filter((row) => isInState(row, all, new Set([key]))).length;
    if (count) chip(find("states"), () => filter.states, key, sign, style, text, count);
  }
  data.groups.forEach(([label, title], at) => {
    const option = element("option", "", title ? `${label}: ${title}` : label);
    option.value = at;
    tools.leaf.append(option);
  });
}

function showTools() {
  for (const key of ["find", "host", "leaf"]) if (tools[key].value !== filter[key]) tools[key].value = filter[key];
  tools.differs.checked = onlyDiffering();
  tools.differs.disabled = data.columns.length < 2;
  for (const [id, set] of [["outcomes", filter.outcomes], ["states", filter.states]]) {
    for (const button of find(id).children) button.setAttribute("aria-pressed", set.has(button.dataset.key));
  }
}

const counted = (count, all, thing) => `${count === all ? "all " + all : count + " of " + all} ${thing}${all === 1 ? "" : "s"}`;

// Unless somebody said otherwise, big pools begin with what differs, and who looks for a name finds it in any case.
const onlyDiffering = () => data.columns.length > 1 && (filter.differs ?? (data.big && !filter.find));

// Filters again and shows the result.
function update() {
  hideCard();
  const columns = columnsFor(filter.host);
  const rows = columns.length ? rowsFor({ ...filter, differs: onlyDiffering() }, columns) : [];
  grid.scrollTop = 0;
  table.hidden = !rows.length;
  const nothing = grid.querySelector(".nothing");
  if (nothing) nothing.remove();
  if (!rows.length) grid.append(element("p", "nothing", onlyDiffering() && columns.length ? "Nothing here on which hosts differ. Untick \u201cOnly what differs\u201d to see the rest." : "Nothing matches all of these filters."));
  showGrid(rows, columns);
  const hosts = (list) => list.reduce((sum, at) => sum + data.columns[at].hosts.length, 0);
  const all = hosts(data.columns.map((_, at) => at));
  const alike = columns.length === hosts(columns) ? "" : ` in ${columns.length} columns, those that are alike together`;
  find("status").textContent = `${counted(rows.length, data.rows.length, "row")}, ${counted(hosts(columns), all, "host")}${alike}`;
  find("clear").hidden = !(filter.find || filter.host || filter.leaf || filter.outcomes.size || filter.states.size);
  showTools();
  writeAddress();
}

// The note: what it is, what this host says, what was decided and why.
function noteFor(cell) {
  const at = Number(cell.dataset.at);
  const column = Number(cell.dataset.column) - 2;
  if (at < 0) return hostNote(data.columns[view.columns[column]]);
  const { row, group } = view.lines[at];
  if (!row) return [titled(data.groups[group][0], ""), element("p", "soft", data.groups[group][1])];
  const parts = [titled(row.name, row.place === row.name ? "" : row.place.startsWith("MSR") ? row.place : "CPUID." + row.place)];
  if (row.title) parts.push(element("p", "soft", row.title));
  if (column >= 0) {
    const { sign, letter, word } = cellAt(row, view.columns[column]);
    parts.push(element("p", "here", `${letter ? "" : sign + " "}${data.columns[view.columns[column]].name}: ${word}`));
  }
  const decision = element("p");
  decision.append(outcomeTag(row), " " + visible(row.cause.slice(row.cause.indexOf(": ") + 2)));
  parts.push(decision);
  if (row.values && column < 0) parts.push(...valueNotes(row));
  if (row.spelled) parts.push(element("p", "soft", "Spelled " + row.spelled.split(" ").join(", ")));
  return parts;
}

function titled(name, place) {
  const line = element("div");
  line.append(element("strong", "", name), element("span", "at", place));
  return line;
}

function hostNote(column) {
  const parts = [titled(column.name, column.hosts.length > 1 ? `and ${column.hosts.length - 1} alike` : "")];
  for (const cpu of column.cpus) parts.push(element("p", "", visible(cpu)));
  parts.push(element("p", "soft", `basis ${column.basis}${column.unknown ? `; unknown bits in ${column.unknown} register${column.unknown > 1 ? "s" : ""}` : ""}`));
  if (column.hosts.length > 1) parts.push(element("p", "soft", some(column.hosts.map(visible), 24)));
  return parts;
}

const some = (names, most) => names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

// Which hosts have which value.
function valueNotes(row) {
  const MOST = 6;
  const isLettered = row.values.some((one) => String([].concat(one)[0]).length > view.room);
  // Where values were weighed against each other, the cause lists them.
  if (!isLettered && (row.values.length < 2 || row.cause.includes("; "))) return [];
  const notes = row.values.slice(0, MOST).map((value, code) => {
    const hosts = data.columns.flatMap((column, at) => (codeAt(row, at) === code ? column.hosts : []));
    const word = Array.isArray(value) ? `${value[0]} (hardware ${value[1]})` : value;
    return element("p", "soft", `${isLettered ? letterOf(code) + " = " : ""}${word}: ${some(hosts.map(visible), 4)}`);
  });
  if (row.values.length > MOST) notes.push(element("p", "soft", `and ${row.values.length - MOST} more values`));
  return notes;
}

function showCard(cell) {
  card.replaceChildren(...noteFor(cell));
  card.hidden = false;
  cell.setAttribute("aria-describedby", "card");
  const box = cell.getBoundingClientRect();
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  // Beside the names of rows, so that one can run down them; under or over cells, so that one can run along a row.
  const beside = cell.classList.contains("name") || cell.classList.contains("decision") || cell.classList.contains("group");
  const under = box.bottom + 8 + height < innerHeight;
  const left = beside ? grid.getBoundingClientRect().left + view.size.name + view.size.decision + 8 : box.left;
  const top = beside ? box.top - 8 : under ? box.bottom + 8 : box.top - height - 8;
  card.style.left = Math.max(12, Math.min(left, innerWidth - width - 12)) + "px";
  card.style.top = Math.max(8, Math.min(top, innerHeight - height - 8)) + "px";
}

function hideCard() {
  card.hidden = true;
  const described = table.querySelector("[aria-describedby]");
  if (described) described.removeAttribute("aria-describedby");
}

function follow(event) {
  // Scrolling by keys moves cells under a pointer that nobody touches.
  if (event.type === "mouseover" && view.byKeys) return;
  hideCard();
  const cell = event.target.closest("[data-at]");
  if (!cell) return;
  if (event.type === "focusin") view.focus = { at: Number(cell.dataset.at), column: Number(cell.dataset.column) };
  showCard(cell);
}

function listen() {
  for (const name of ["find", "host"]) tools[name].addEventListener("input", () => { filter[name] = tools[name].value.trim(); update(); });
  tools.leaf.addEventListener("change", () => { filter.leaf = tools.leaf.value; update(); });
  tools.differs.addEventListener("change", () => { filter.differs = tools.differs.checked; update(); });
  find("tools").addEventListener("submit", (event) => event.preventDefault());
  find("clear").addEventListener("click", () => {
    Object.assign(filter, { find: "", host: "", leaf: "", differs: null, outcomes: new Set(), states: new Set() });
    tools.find.focus();
    update();
  });
  document.querySelector(".theme").addEventListener("click", (event) => {
    if (event.target.dataset.theme) { filter.theme = event.target.dataset.theme; paint(); writeAddress(); }
  });
  for (const kind of ["mouseover", "focusin"]) table.addEventListener(kind, follow);
  for (const kind of ["mouseleave", "focusout"]) table.addEventListener(kind, hideCard);
  addEventListener("keydown", (event) => { view.byKeys = true; if (event.key === "Escape") hideCard(); }, true);
  addEventListener("pointermove", () => { view.byKeys = false; }, true);
  addEventListener("hashchange", () => { if (location.hash.includes("=")) { readAddress(); paint(); update(); } });
  // Paper has no folds.
  addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details")) fold.open = true; });
}

for (const hidden of document.querySelectorAll(".scripted")) hidden.hidden = false;
readAddress();
makeChips();
listen();
paint();
update();
