"use strict";
(() => {
  const PAGE = 100;
  const [SEVERITY, AGENT, PATH, LINE, COLUMN, TOOL, RULE, MESSAGE] = [0, 1, 2, 3, 4, 5, 6, 7];
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const state = { severities: new Set(), agents: new Set(), text: "", path: "", sort: "severity", page: 0 };
  let chosen = data.rows;

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A name without a slash at its end is one file; with one, a directory and all below it.
  function under(path) {
    return !state.path || (state.path.endsWith("/") ? path.startsWith(state.path) : path === state.path);
  }

  const haystacks = data.rows.map((row) => null);
  function haystack(index) {
    const row = data.rows[index];
    haystacks[index] ??= `${data.paths[row[PATH]]}\n${data.rules[row[RULE]]}\n${data.tools[row[TOOL]]}\n${row[MESSAGE]}`.toLowerCase();
    return haystacks[index];
  }

  // How many a chip would show: every other filter applies, its own kind does not.
  function matches(row, index, without) {
    return (without === "severities" || !state.severities.size || state.severities.has(row[SEVERITY]))
      && (without === "agents" || !state.agents.size || state.agents.has(row[AGENT]))
      && (without === "path" || under(data.paths[row[PATH]]))
      && (!state.text || haystack(index).includes(state.text));
  }

  const place = (a, b) => a[PATH] - b[PATH] || a[LINE] - b[LINE] || a[COLUMN] - b[COLUMN];
  const orders = {
    severity: (a, b) => a[SEVERITY] - b[SEVERITY] || place(a, b),
    path: place,
    rule: (a, b) => a[RULE] - b[RULE] || place(a, b),
  };

  function drawList() {
    const list = by("list");
    list.replaceChildren();
    const from = state.page * PAGE;
    for (const row of chosen.slice(from, from + PAGE)) {
      const item = element("div", "finding");
      const location = element("div", "loc");
      location.append(data.paths[row[PATH]]);
      if (row[LINE]) location.append(element("b", "", `:${row[LINE]}${row[COLUMN] ? ":" + row[COLUMN] : ""}`));
      const who = element("div", "who");
      who.append(element("span", "rule", data.rules[row[RULE]]), ` ${data.tools[row[TOOL]]}, ${data.agents[row[AGENT]].label}`);
      const severity = data.severities[row[SEVERITY]];
      item.append(element("span", `sev s-${severity}`, severity), location, element("div", "msg", row[MESSAGE]), who);
      list.append(item);
    }
    const pages = Math.max(1, Math.ceil(chosen.length / PAGE));
    by("pager").hidden = pages === 1;
    by("page").textContent = `${state.page + 1} of ${pages.toLocaleString("en")}`;
    by("prev").disabled = state.page === 0;
    by("next").disabled = state.page >= pages - 1;
    const all = data.rows.length.toLocaleString("en");
    by("count").textContent = chosen.length === data.rows.length
      ? `${all} findings` : `${chosen.length.toLocaleString("en")} of ${all} findings`;
  }

  function drawChips(id, kind, labels, column, className) {
    const counts = new Array(labels.length).fill(0);
    data.rows.forEach((row, index) => { if (matches(row, index, kind)) counts[row[column]] += 1; });
    const group = by(id);
    if (!group.children.length) {
      labels.forEach((label, number) => {
        const chip = element("button", `chip ${className(number)}`);
        chip.type = "button";
        chip.append(element("span", className(number).startsWith("s-") ? `sev ${className(number)}` : "", label), element("small"));
        chip.addEventListener("click", () => {
          state[kind].has(number) ? state[kind].delete(number) : state[kind].add(number);
          refresh();
        });
        group.append(chip);
      });
    }
    [...group.children].forEach((chip, number) => {
      chip.setAttribute("aria-pressed", String(state[kind].has(number)));
      chip.querySelector("small").textContent = counts[number].toLocaleString("en");
    });
  }

  function drawMap() {
    const counts = new Map();
    data.rows.forEach((row, index) => {
      if (matches(row, index, "path")) counts.set(row[PATH], (counts.get(row[PATH]) ?? 0) + 1);
    });
    const byName = new Map([...counts].map(([number, count]) => [data.paths[number], count]));
    for (const rect of document.querySelectorAll("#treemap rect[data-path]")) {
      const path = rect.dataset.path;
      rect.classList.toggle("picked", path === state.path);
      if (path.endsWith("/")) continue;
      const count = byName.get(path) ?? 0;
      const density = (100 * count) / Math.max(data.lines[path] ?? 1, 1);
      const heat = count === 0 ? 0 : density < 1 ? 1 : density < 3 ? 2 : density < 6 ? 3 : density < 12 ? 4 : 5;
      rect.setAttribute("class", `h${heat}${path === state.path ? " picked" : ""}`);
      rect.querySelector("title").textContent = `${path}: ${(data.lines[path] ?? 0).toLocaleString("en")} lines, ${count} findings`;
    }
  }

  function refresh() {
    state.page = 0;
    chosen = data.rows.filter((row, index) => matches(row, index)).sort(orders[state.sort]);
    drawChips("f-severity", "severities", data.severities, SEVERITY, (number) => `s-${data.severities[number]}`);
    drawChips("f-agent", "agents", data.agents.map((agent) => agent.label), AGENT, () => "agent");
    by("f-path").hidden = !state.path;
    by("f-path").textContent = `only ${state.path} ×`;
    drawList();
    drawMap();
  }

  let typing = 0;
  by("f-text").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.text = event.target.value.trim().toLowerCase(); refresh(); }, 150);
  });
  by("f-sort").addEventListener("change", (event) => { state.sort = event.target.value; refresh(); });
  by("f-path").addEventListener("click", () => { state.path = ""; refresh(); });
  by("f-clear").addEventListener("click", () => {
    state.severities.clear(); state.agents.clear();
    state.text = state.path = by("f-text").value = "";
    refresh();
  });
  function turn(pages) { state.page += pages; drawList(); by("findings").scrollIntoView(); }
  by("prev").addEventListener("click", () => turn(-1));
  by("next").addEventListener("click", () => turn(1));
  by("treemap").addEventListener("click", (event) => {
    const path = event.target.dataset?.path;
    if (!path) return;
    state.path = state.path === path ? "" : path;
    refresh();
    if (state.path) by("findings").scrollIntoView({ behavior: "smooth" });
  });

  const theme = by("theme");
  const dark = () => (document.documentElement.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  function nameTheme() { theme.textContent = dark() ? "Light" : "Dark"; }
  theme.hidden = false;
  nameTheme();
  theme.addEventListener("click", () => { document.documentElement.dataset.theme = dark() ? "light" : "dark"; nameTheme(); });
  by("filters").hidden = false;
  refresh();
})();
