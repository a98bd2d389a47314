"use strict";
// The data of the page, and what a search finds in it. Nothing here touches the document but to read the data.

const data = JSON.parse(document.getElementById("data").textContent);
const DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

// Every outcome and state has a sign and a word, so that nothing is told by colour alone.
const OUTCOMES = {
  granted: "\u2713", withheld: "\u2715", raised: "\u25b2", lowered: "\u25bc", chosen: "\u25c6", undecided: "?",
};
const STATES = {
  "1": { sign: "\u25cf", style: "has", word: "has it", chip: "has it" },
  "0": { sign: "\u25cb", style: "lacks", word: "lacks it", chip: "lacks it" },
  "k": { sign: "\u2298", style: "denied", word: "KVM does not give it", chip: "KVM does not give it" },
  "e": { sign: "\u25c7", style: "emulated", word: "given without hardware", chip: "given without hardware" },
  "m": { sign: "\u25d0", style: "mixed", word: "its cores differ", chip: "cores differ" },
  "?": { sign: "?", style: "unrecorded", word: "not recorded", chip: "not recorded" },
};
// The order in which states are told.
const ORDER = ["1", "0", "k", "e", "m", "?"];
// The state of a cell that causes the decision of its row, by kind of cause. What KVM never gives is no host's doing.
const CULPRITS = { "missing-on-host": "0m", "unrecorded": "?", "limitation": "1me" };

// Characters that show nothing of themselves and change how others look are spelled out.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udc7f]/g;
const visible = (text) => text.replace(HIDDEN, (c) => "\u27e8U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "\u27e9");

// Spellings differ in case and separators only; places and titles are looked for as they stand.
const folded = (text) => text.toLowerCase().replace(/[-_. ]/g, "");

for (const row of data.rows) {
  const words = [row.name, ...(row.spelled || "").split(" ")].map(folded);
  row.plain = [row.name, row.spelled || "", row.place, "cpuid." + row.place, row.title || "", data.groups[row.group].join(" ")].join("\n").toLowerCase();
  row.folded = words.join("\n");
}
for (const column of data.columns) {
  column.plain = column.hosts.join("\n").toLowerCase();
  column.name = visible(column.hosts[0]);
}

// The encoded content of a cell: a letter, or the number of a value.
function codeAt(row, column) {
  const cells = row.cells;
  const at = cells.length === 1 ? 0 : column;
  return row.values ? (typeof cells === "string" ? DIGITS.indexOf(cells[at]) : cells[at]) : cells[at];
}

// What a cell says: sign, words, style, and whether it caused the decision.
function cellAt(row, column) {
  const code = codeAt(row, column);
  if (row.values) return valueCell(row, code);
  const state = STATES[code];
  const isThere = code === "1";
  const isHot = row.type !== "static" && row.kind in CULPRITS && CULPRITS[row.kind].includes(code);
  if (row.type === "static") return { sign: isThere ? "\u2022" : "\u2013", style: "own", word: isThere ? "has a value of its own" : "zero or absent", short: isThere ? "own value" : "none" };
  if (row.type === "unknown") return { ...state, word: isThere ? "set, meaning unknown" : "not set", short: isThere ? "set" : "not set", isHot };
  return { ...state, isHot, short: state.word.replace("KVM does not give it", "not in KVM").replace("given without hardware", "by KVM alone") };
}

function valueCell(row, code) {
  const value = row.values[code];
  const [ceiling, hardware] = Array.isArray(value) ? value : [value, null];
  const isCause = (row.outcome === "lowered" || row.outcome === "raised") && ceiling === row.shown;
  const isHot = isCause || (row.kind === "conflict" && row.outcome === "withheld" && row.values.length > 1) || (row.kind === "unrecorded" && ceiling === "?");
  let word = ceiling === "?" ? "not recorded" : ceiling === "\u2013" ? "has no such field" : ceiling;
  if (hardware !== null) word = `KVM gives ${ceiling}, the hardware says ${hardware}`;
  return { sign: ceiling, letter: letterOf(code), word, short: "", style: hardware === null ? "value" : "value off", isHot };
}

// Values too wide for a narrow cell are lettered; the note spells them out.
const letterOf = (code) => (code < 26 ? String.fromCharCode(97 + code) : "#" + code);

// Columns whose hosts match any word.
function columnsFor(words) {
  const terms = words.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const all = data.columns.map((_, at) => at);
  return terms.length ? all.filter((at) => terms.some((term) => data.columns[at].plain.includes(term))) : all;
}

const differs = (row, columns) => row.cells.length > 1 && columns.some((at) => codeAt(row, at) !== codeAt(row, columns[0]));

function isInState(row, columns, states) {
  const isThere = (code) => states.has(row.values ? ([].concat(row.values[code]).includes("?") ? "?" : "") : code);
  return row.cells.length === 1 ? isThere(codeAt(row, 0)) : columns.some((at) => isThere(codeAt(row, at)));
}

// Rows that match every filter.
function rowsFor(filter, columns) {
  // A project before a colon pins a spelling on the command line; here every spelling is looked through anyway.
  const words = filter.find.toLowerCase().split(/[\s,]+/).map((word) => word.replace(/^(linux|cpuinfo|qemu|libvirt|xen|kcpuid):/, ""));
  const terms = words.filter(Boolean);
  const isFound = (row) => terms.every((term) => row.plain.includes(term) || (folded(term) && row.folded.includes(folded(term))));
  return data.rows.filter((row) =>
    (filter.leaf === "" || row.group === Number(filter.leaf)) &&
    (!filter.outcomes.size || filter.outcomes.has(row.outcome)) &&
    isFound(row) &&
    (!filter.states.size || isInState(row, columns, filter.states)) &&
    (!filter.differs || differs(row, columns)));
}
