/* base.js - what the scripts of all pages share, under the one name `filtags`.
 *
 *   filtags.json(id)          a block of JSON of the page
 *   filtags.bytes(id)         a promise of a block of bytes (Uint8Array)
 *   filtags.el(name, attributes, ...children)   an element; children are elements or text, never markup
 *   filtags.table(columns, rows, options)       a table with sortable columns
 *   filtags.plot(element, traces, layout)       a Plotly chart in the page's theme; drawn anew when that changes
 *   filtags.unplot(container)                   before the container is emptied of charts
 *   filtags.colors(), filtags.colorscale, filtags.lineStyle(i)
 *   filtags.number(value, digits)
 *   filtags.state             what is chosen, kept in the address behind '#': get(name), set({name: value}), onchange
 *   filtags.keys([[key, what it does, function], ...])   keyboard; '?' lists them
 *
 * Text from outside is put on screen by textContent alone. Plotly reads a little markup in its texts (<b>, <a href>),
 * so what goes to a chart passes filtags.plain() first. */
'use strict';
const filtags = (() => {
  const root = document.documentElement;

  /* ---------------------------------------------------------------- data */

  const json = (id) => JSON.parse(document.getElementById(id).textContent);

  function fromBase64(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    return bytes;
  }

  async function bytes(id) {
    const packed = fromBase64(document.getElementById(id).textContent);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /* ---------------------------------------------------------------- elements */

  function el(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else if (key === 'dataset') Object.assign(element.dataset, value);
      else element.setAttribute(key, value === true ? '' : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  /* Plotly takes some markup in its texts for its own; a zero-width space behind '<' and '&' makes it plain. */
  const plain = (text) => String(text).replace(/[<&]/g, '$&\u200b');

  const shorten = (text, n) => {
    const letters = Array.from(String(text));
    return letters.length <= n ? String(text) : `${letters.slice(0, n - 1).join('')}…`;
  };

  function number(value, digits = 4) {
    if (value === null || value === undefined || Number.isNaN(value)) return '–';
    return Number.isInteger(value) && Math.abs(value) >= 2 ? value.toLocaleString('en') : value.toFixed(digits);
  }

  /* columns: [{title, key, isNumber, cell(row) -> element or text, sort(row)}]. Options: caption, onpick(row),
   * isChosen(row), limit (rows put on screen at first). A click on a heading sorts. */
  function table(columns, rows, options = {}) {
    const limit = options.limit || 200;
    let order = null, isAscending = true, nShown = limit;
    const body = el('tbody');
    const heads = columns.map((column, i) => {
      const attributes = { class: column.isNumber && 'number', scope: 'col' };
      if (!column.key && !column.sort) return el('th', attributes, column.title);
      const button = el('button', { class: 'link', type: 'button', onclick: () => sortBy(i) }, column.title);
      return el('th', attributes, button);
    });
    const more = el('button', { type: 'button', onclick: () => { nShown += 10 * limit; fill(); } });
    const valueOf = (column, row) => (column.sort ? column.sort(row) : row[column.key]);
    function sortBy(i) {
      isAscending = order === i ? !isAscending : !columns[i].isNumber;
      order = i;
      heads.forEach((head, j) => {
        if (j === i) head.setAttribute('aria-sort', isAscending ? 'ascending' : 'descending');
        else head.removeAttribute('aria-sort');
      });
      fill();
    }
    function fill() {
      let shown = rows;
      if (order !== null) {
        const direction = isAscending ? 1 : -1;
        shown = rows.slice().sort((a, b) => {
          const x = valueOf(columns[order], a), y = valueOf(columns[order], b);
          const areNumbers = typeof x === 'number' && typeof y === 'number';
          return direction * (areNumbers ? x - y : String(x).localeCompare(String(y)));
        });
      }
      body.replaceChildren(...shown.slice(0, nShown).map((row) => {
        const cells = columns.map((column) => {
          const value = row[column.key];
          const content = column.cell ? column.cell(row) : column.isNumber ? number(value) : String(value);
          return el('td', { class: column.isNumber ? 'number' : 'wrap' }, content);
        });
        return el('tr', { class: options.isChosen && options.isChosen(row) && 'chosen' }, ...cells);
      }));
      more.hidden = rows.length <= nShown;
      more.textContent = `Show more (${(rows.length - nShown).toLocaleString('en')} left)`;
    }
    fill();
    const caption = options.caption ? el('caption', {}, options.caption) : null;
    const label = options.caption || 'table';
    const box = el('div', { class: 'table-box', tabindex: '0', role: 'region', 'aria-label': label },
      el('table', {}, caption, el('thead', {}, el('tr', {}, ...heads)), body));
    return el('div', {}, box, more);
  }

  /* ---------------------------------------------------------------- theme */

  const store = {
    get(name) { try { return localStorage.getItem(name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, value); } catch { /* a page in a file may have none */ } },
  };
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
  const theme = () => root.dataset.theme;
  const plots = new Map(); // element -> [traces, layout], to draw anew

  function setTheme(name) {
    root.dataset.theme = name;
    for (const button of document.querySelectorAll('[data-action="theme"]')) {
      button.textContent = name === 'dark' ? 'Light' : 'Dark';
      button.setAttribute('aria-label', name === 'dark' ? 'Use light colours' : 'Use dark colours');
    }
    for (const [element, make] of plots) if (element.isConnected) draw(element, make);
    document.dispatchEvent(new Event('filtags-theme'));
  }

  function toggleTheme() {
    setTheme(theme() === 'dark' ? 'light' : 'dark');
    store.set('filtags-theme', theme());
  }

  /* ---------------------------------------------------------------- charts */

  /* Okabe and Ito's colours, told apart with any kind of colour vision, a little darker or lighter for contrast; dashes
   * and symbols tell lines apart without colour. */
  const LINES = {
    light: ['#0067a5', '#c44e00', '#007f5f', '#b0528a', '#8a6d00', '#2f8fc4', '#5b4a9c', '#444b52'],
    dark: ['#5db4f0', '#ff9152', '#3fcf9f', '#e69cc8', '#f0c040', '#9ad4ff', '#b9a7ff', '#c9d0d6'],
  };
  const DASHES = ['solid', 'dash', 'dot', 'dashdot', 'longdash', 'longdashdot'];
  const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'x', 'star', 'pentagon'];
  const colors = () => LINES[theme()];
  function lineStyle(i) {
    const palette = colors();
    const round = Math.floor(i / palette.length);
    return {
      line: { color: palette[i % palette.length], dash: DASHES[(i + round) % DASHES.length], width: 2 },
      marker: { color: palette[i % palette.length], symbol: SYMBOLS[(i + round) % SYMBOLS.length], size: 7 },
    };
  }
  /* Cividis, made for colour-blind readers: dark to light. */
  const colorscale = [[0, '#00224e'], [.125, '#123570'], [.25, '#3b496c'], [.375, '#575d6d'], [.5, '#707173'],
    [.625, '#8a8678'], [.75, '#a59c74'], [.875, '#c3b369'], [.95, '#e1cc55'], [1, '#fee838']];

  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function themed(layout) {
    const line = style('--line');
    const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
    const result = {
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', margin: { l: 50, r: 15, t: 15, b: 45 },
      font: { family: style('--sans'), size: 12.5, color: style('--ink') },
      hoverlabel: { bgcolor: style('--raised'), bordercolor: line, font: { color: style('--ink') }, align: 'left' },
      modebar: { bgcolor: 'rgba(0,0,0,0)', color: style('--muted'), activecolor: style('--accent') },
      ...layout,
    };
    for (const name of ['xaxis', 'yaxis', 'xaxis2', 'yaxis2']) {
      if (name.length > 5 && !layout[name]) continue;
      const { title, ...rest } = layout[name] || {};
      result[name] = { ...axis, ...rest };
      if (title) result[name].title = { standoff: 8, ...title, font: { size: 12.5, ...title.font } };
    }
    return result;
  }

  function draw(element, make) {
    const [traces, layout, config] = make();
    return Plotly.react(element, traces, themed(layout), {
      displaylogo: false, responsive: true, modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'], ...config,
    });
  }

  /* make() -> [traces, layout, config], called again when the theme changes. */
  function plot(element, make) {
    plots.set(element, make);
    return draw(element, make);
  }

  /* Forget the charts in an element that is about to be emptied: what they hold is given back. */
  function unplot(container) {
    for (const element of plots.keys()) {
      if (!container.contains(element)) continue;
      Plotly.purge(element);
      plots.delete(element);
    }
  }

  /* ---------------------------------------------------------------- what is chosen */

  let kept = null; // what the address would say, in a frame whose address can't change (srcdoc)
  const parametersNow = () => new URLSearchParams(kept === null ? location.hash.slice(1) : kept);
  const state = {
    onchange: null,
    get(name) { return parametersNow().get(name); },
    /* null removes. The address changes without a step in the history, unless asked for. */
    set(values, isStep = false) {
      const parameters = parametersNow(), before = parameters.toString();
      for (const [name, value] of Object.entries(values)) {
        if (value === null || value === undefined) parameters.delete(name);
        else parameters.set(name, value);
      }
      if (parameters.toString() === before) return;
      const hash = `#${parameters}`;
      try {
        history[isStep ? 'pushState' : 'replaceState'](null, '', hash);
      } catch {
        kept = hash.slice(1);
      }
    },
  };
  addEventListener('hashchange', () => { if (state.onchange) state.onchange(); });
  addEventListener('popstate', () => { if (state.onchange) state.onchange(); });

  /* ---------------------------------------------------------------- keyboard */

  const bindings = [];
  const isTyping = (target) => target.matches('input:not([type="range"]), textarea, select, [contenteditable]');
  const help = el('dialog', { class: 'help', 'aria-label': 'Keyboard' });

  function keys(rows) { bindings.push(...rows); }

  /* What is printed on the key. */
  const KEY_CAPS = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc' };

  function showHelp() {
    const rows = [...bindings, ['?', 'this list'], ['d', 'dark or light']].map(([key, what]) => el('tr', {},
      el('td', {}, ...key.split(' ').map((one) => el('kbd', {}, KEY_CAPS[one] || one))),
      el('td', {}, what)));
    help.replaceChildren(el('h2', {}, 'Keyboard'), el('table', {}, el('tbody', {}, ...rows)),
      el('p', {}, el('button', { type: 'button', onclick: () => help.close() }, 'Close')));
    if (!help.isConnected) document.body.append(help);
    help.showModal();
  }

  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || help.open) return;
    if (event.key === '?') { showHelp(); event.preventDefault(); return; }
    if (event.key === 'd') { toggleTheme(); return; }
    for (const [key, , act] of bindings) {
      if (act && key.split(' ').includes(event.key)) {
        if (act(event) !== false) event.preventDefault(); // false: not mine, the browser may have it
        return;
      }
    }
  });

  document.addEventListener('click', (event) => {
    const action = event.target.closest('[data-action]');
    if (action && action.dataset.action === 'theme') toggleTheme();
    if (action && action.dataset.action === 'help') showHelp();
  });
  setTheme(store.get('filtags-theme') || (systemIsDark.matches ? 'dark' : 'light'));
  systemIsDark.addEventListener('change', (event) => {
    if (!store.get('filtags-theme')) setTheme(event.matches ? 'dark' : 'light');
  });

  return {
    json, bytes, el, table, plot, unplot, colors, colorscale, lineStyle, number, plain, shorten, state, keys, theme,
    style,
  };
})();
