/* hitrates.js - hit rates as lines, as small charts of all classes, and as tables.
 *
 * What is chosen lives in the address: class (its number from 1, none: all classes), rule (k, q), against (m, value),
 * layers (both, all, last), lines (values of the lines, where they aren't the page's choice), at and m (the point by which
 * classes are compared), sort, table. render() draws all of it anew; every control sets the address and calls it. */
'use strict';
(async () => {
  const { el, state, plain, shorten } = filtags;
  const $ = (id) => document.getElementById(id);
  const about = filtags.json('about');
  const [numbers, packed] = await Promise.all([filtags.bytes('numbers'), filtags.bytes('rates')]);

  /* ---------------------------------------------------------------- the rates */

  const all = new Float64Array(numbers.buffer);
  const { n_k, n_q, n_m } = about;
  const values = { k: Array.from(all.subarray(0, n_k)), q: Array.from(all.subarray(n_k, n_k + n_q)) };
  const m = Array.from(all.subarray(n_k + n_q, n_k + n_q + n_m));
  const distinct = all.subarray(n_k + n_q + n_m); // [0] is NaN: no rate
  const places = new (about.place_bytes === 2 ? Uint16Array : Uint32Array)(packed.buffer); // in distinct
  const tables = {}; // 'k-all' -> {first place, rows}
  let nBefore = 0;
  for (const table of about.tables) {
    tables[`${table.rule}-${table.layers}`] = { first: nBefore, rows: table.rows };
    nBefore += table.rows * values[table.rule].length * n_m;
  }
  const labels = about.labels;
  const hasClasses = labels.length > 0 && about.tables.some((table) => table.rows > 1);

  /* row 0: the total. null: no rate. */
  function rateAt(rule, layers, row, v, i) {
    const table = tables[`${rule}-${layers}`];
    if (!table || row >= table.rows) return null;
    const at = table.first + (row * values[rule].length + v) * n_m + i;
    const place = places[at];
    return place ? distinct[place] : null;
  }

  /* ---------------------------------------------------------------- words */

  const layerNames = { all: 'all layers', last: 'last layer' };
  const rules = ['k', 'q'].filter((rule) => about.tables.some((table) => table.rule === rule));
  const layersOf = (rule) => ['all', 'last'].filter((layers) => tables[`${rule}-${layers}`]);
  const isMean = (rule, value) => value <= 0 || (rule === 'q' && value > 100); // no amount: all filters above the mean
  const unit = (rule) => (rule === 'q' ? ' %' : '');
  const valueText = (rule, value) => (value === 0 ? '0 (> mean)' : `${value}${unit(rule)}`);
  const labelOf = (row) => (row ? labels[row - 1] : 'All classes');
  /* Names on screen in one line; an empty one is still something to click. */
  const lineOf = (label) => label.replace(/\s+/g, ' ').trim() || '(no name)';
  const exact = (rate) => (rate === null ? '–' : String(Number(rate.toFixed(6))));

  /* ---------------------------------------------------------------- which lines */

  const MOST_DEFAULT = 8, MOST_LINES = 16;

  /* As choose_values of the program: 0, and amounts of 1, 2, 5, 10, ..., or spread evenly over the list. */
  function defaultLines(list, hasMean, rule) {
    const indices = list.map((_, i) => i);
    if (list.length <= MOST_DEFAULT) return indices;
    const amounts = indices.filter((i) => !hasMean || !isMean(rule, list[i]));
    const mean = hasMean ? indices.filter((i) => list[i] <= 0).slice(-1) : [];
    const nLeft = MOST_DEFAULT - mean.length;
    const isRound = (value) => {
      const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
      return [1, 2, 5].some((one) => Math.abs(digit - one) < 1e-9);
    };
    const low = list[amounts[0]], high = list[amounts[amounts.length - 1]];
    const round = low > 0 && high / low >= 12 ? amounts.filter((i) => isRound(list[i])) : [];
    if (round.length >= 4 && round.length <= nLeft) return [...mean, ...round];
    if (amounts.length <= nLeft) return [...mean, ...amounts];
    const spread = Array.from({ length: nLeft }, (_, i) => amounts[Math.round(i / (nLeft - 1) * (amounts.length - 1))]);
    return [...mean, ...new Set(spread)];
  }

  /* A line keeps its colour while others come and go. */
  let slots = new Map(), slotsOf = '';
  function assignSlots(view) {
    const name = `${view.rule} ${view.against}`;
    const old = name === slotsOf ? slots : new Map();
    slots = new Map(view.lines.filter((i) => old.has(i)).map((i) => [i, old.get(i)]));
    slotsOf = name;
    for (const i of view.lines) {
      if (slots.has(i)) continue;
      const taken = new Set(slots.values());
      let slot = 0;
      while (taken.has(slot)) slot++;
      slots.set(i, slot);
    }
  }

  /* ---------------------------------------------------------------- what is chosen */

  const oneOf = (name, choices, otherwise) => (choices.includes(state.get(name)) ? state.get(name) : otherwise);

  function readView() {
    const row = hasClasses && /^\d+$/.test(state.get('class') || '') ? Number(state.get('class')) : 0;
    const rule = oneOf('rule', rules, rules[0]);
    const against = oneOf('against', ['m', 'value'], n_m > 1 ? 'm' : 'value');
    const there = layersOf(rule);
    const layers = there.length > 1 ? oneOf('layers', ['both', 'all', 'last'], 'both') : there[0];
    const list = against === 'm' ? values[rule] : m;
    const wanted = (state.get('lines') || '').split(',').filter(Boolean).map(Number);
    let lines = [...new Set(wanted.map((value) => list.indexOf(value)).filter((i) => i >= 0))].slice(0, MOST_LINES);
    const usual = defaultLines(list, against === 'm', rule);
    if (!lines.length) lines = usual;
    lines.sort((a, b) => a - b);
    const atValue = values[rule].indexOf(Number(state.get('at') ?? NaN));
    const atM = m.indexOf(Number(state.get('m') ?? NaN));
    const firstAmount = values[rule].findIndex((value) => !isMean(rule, value));
    const five = values[rule].indexOf(5);
    return {
      row: row <= labels.length ? row : 0, rule, against, layers, list, lines, usual,
      panels: layers === 'both' ? there : [layers],
      at: atValue >= 0 ? atValue : five >= 0 ? five : Math.max(firstAmount, 0), atM: Math.max(atM, 0),
      sort: oneOf('sort', ['low', 'high', 'file', 'name'], 'low'),
      table: hasClasses ? oneOf('table', ['selection', 'classes'], 'selection') : 'selection',
    };
  }

  let view = null;
  function choose(changes, isStep = false) {
    state.set(changes, isStep);
    render();
  }
  const chooseClass = (row) => choose({ class: row || null }, true);
  const setLines = (lines) => {
    const isUsual = lines.length === view.usual.length && lines.every((i) => view.usual.includes(i));
    choose({ lines: isUsual || !lines.length ? null : lines.map((i) => view.list[i]).join(',') });
  };

  /* ---------------------------------------------------------------- the horizontal axis */

  const SLOT = .13; // of a value that is no amount, where all amounts have 1

  /* Where values stand: amounts from 0 to 1, by ratio over a wide range; those that are none to the left of 0. */
  function axisOf(list, hasMean, rule) {
    const apart = list.filter((value) => hasMean && isMean(rule, value));
    const amounts = list.filter((value) => !hasMean || !isMean(rule, value));
    const low = amounts[0], high = amounts[amounts.length - 1];
    const isLog = low > 0 && high / low >= 12;
    const place = (value) => (high === low ? .5
      : isLog ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low));
    const of = (value) => (apart.includes(value) ? -SLOT * (apart.length - apart.indexOf(value) - .1) : place(value));
    return { of, place, apart, amounts, low, high, isLog, start: apart.length ? -SLOT * (apart.length + .45) : -.04 };
  }

  function niceSteps(low, high, most) {
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * (1 - 1e-9));
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)));
    return ticks;
  }

  function ticksOf(axis, width) {
    const room = 34 / Math.max(width, 100);
    const fits = (ticks) => ticks.every((tick, i) => !i || axis.place(tick) - axis.place(ticks[i - 1]) >= room);
    if (fits(axis.amounts)) return axis.amounts;
    if (axis.isLog) {
      for (const digits of [[1, 2, 5], [1]]) {
        const ticks = [];
        for (let power = Math.floor(Math.log10(axis.low)); power <= Math.ceil(Math.log10(axis.high)); power++) {
          ticks.push(...digits.map((digit) => Number((digit * 10 ** power).toPrecision(12))));
        }
        const inside = ticks.filter((tick) => tick >= axis.low && tick <= axis.high);
        if (inside.length > 1 && fits(inside)) return inside;
      }
      return [axis.low, axis.high];
    }
    for (let most = 8; most > 1; most--) {
      const ticks = niceSteps(axis.low, axis.high, most);
      if (fits(ticks)) return ticks;
    }
    return [axis.low];
  }

  const axisTitle = (rule, against, isLog) => (against === 'm' ? 'm, labels that the tags may name'
    : rule === 'k' ? 'k, most active filters of a layer' : 'q, most active filters of a layer in %')
    + (isLog ? ' (log scale)' : '');

  /* ---------------------------------------------------------------- the chart */

  const lineName = (v, i) => (v.against === 'm' ? `${v.rule} = ${valueText(v.rule, v.list[i])}` : `m = ${v.list[i]}`);

  /* Rate of line i at x (both are places in their lists). */
  const lineRate = (v, layers, row, i, x) => (v.against === 'm' ? rateAt(v.rule, layers, row, i, x)
    : rateAt(v.rule, layers, row, x, i));

  /* Which values get a marker: those that don't crowd; those without an amount always. Of the others hovering tells. */
  function markedOf(axis, xs, width) {
    const gap = 15 * (1.04 - axis.start) / Math.max(width, 100);
    let last = -Infinity;
    return xs.map((value, x) => {
      const at = axis.of(value), isMarked = axis.apart.includes(value) || at - last >= gap || x === xs.length - 1;
      if (isMarked && !axis.apart.includes(value)) last = at;
      return isMarked;
    });
  }

  function tracesOf(v, axis, xs, panel, layers, width) {
    const marked = markedOf(axis, xs, width);
    return v.lines.map((i) => {
      const style = filtags.lineStyle(slots.get(i));
      const rates = xs.map((_, x) => lineRate(v, layers, v.row, i, x));
      const trace = { x: [], y: [], customdata: [] }, sizes = [];
      xs.forEach((value, x) => {
        const at = v.against === 'm' ? `${lineName(v, i)}, m = ${value}` : `${v.rule} = ${valueText(v.rule, value)}, ${lineName(v, i)}`;
        trace.x.push(axis.of(value));
        trace.y.push(rates[x]);
        sizes.push(marked[x] || (rates[x - 1] ?? rates[x + 1] ?? null) === null ? 8 : 0);
        trace.customdata.push(`${at}<br>hit rate <b>${exact(rates[x])}</b>, ${layerNames[layers]}`);
        if (axis.apart.includes(value)) { // a gap behind what is no amount
          trace.x.push(axis.of(value));
          trace.y.push(null);
          trace.customdata.push('');
          sizes.push(0);
        }
      });
      return {
        ...trace, type: 'scatter', mode: 'lines+markers', name: lineName(v, i), legendgroup: String(i), showlegend: panel === 0,
        line: style.line, connectgaps: false, hovertemplate: '%{customdata}<extra></extra>',
        marker: { ...style.marker, size: sizes, opacity: 1, line: { color: filtags.style('--surface'), width: sizes.map((size) => (size ? 1 : 0)) } },
        xaxis: panel ? 'x2' : 'x', yaxis: panel ? 'y2' : 'y',
      };
    });
  }

  function chartOf(v, width) {
    const xs = v.against === 'm' ? m : values[v.rule];
    const axis = axisOf(xs, v.against !== 'm', v.rule);
    const isStacked = width < 700 && v.panels.length > 1, n = v.panels.length;
    const panelWidth = (isStacked ? width : width / n) - 80;
    const ticks = ticksOf(axis, panelWidth / (1 - axis.start));
    const xaxis = {
      range: [axis.start, 1.04], zeroline: false, showgrid: false, ticks: 'outside', fixedrange: true,
      tickvals: [...axis.apart.map(axis.of), ...ticks.map(axis.of)],
      ticktext: [...axis.apart.map((value) => (value === 0 ? '> mean' : String(value))), ...ticks.map(String)],
      title: { text: axisTitle(v.rule, v.against, axis.isLog), standoff: 8, font: { size: 13 } }, tickangle: 0,
    };
    const yaxis = { range: [-.01, 1.04], tickvals: [0, .2, .4, .6, .8, 1], tickformat: '.1f', zeroline: false, fixedrange: true,
      title: { text: 'Hit rate', standoff: 6, font: { size: 13 } } };
    const domains = isStacked ? { x: [[0, 1], [0, 1]], y: [[.58, 1], [0, .42]] }
      : n > 1 ? { x: [[0, .475], [.525, 1]], y: [[0, 1], [0, 1]] } : { x: [[0, 1]], y: [[0, 1]] };
    const layout = {
      height: isStacked ? 640 : 400, hovermode: 'closest', hoverdistance: 30, showlegend: false, dragmode: false,
      margin: { l: 52, r: 12, t: 30, b: 48 }, annotations: [], shapes: [],
    };
    v.panels.forEach((layers, i) => {
      const suffix = i ? '2' : '';
      layout[`xaxis${suffix}`] = { ...xaxis, domain: domains.x[i], anchor: `y${suffix}` };
      layout[`yaxis${suffix}`] = { ...yaxis, ...(i && !isStacked ? { title: undefined } : {}), domain: domains.y[i], anchor: `x${suffix}` };
      layout.annotations.push({ text: `<b>${layers === 'all' ? 'All layers' : 'Last layer'}</b>`, showarrow: false,
        x: domains.x[i][0], y: domains.y[i][1], xref: 'paper', yref: 'paper', xanchor: 'left', yanchor: 'bottom' });
      if (axis.apart.length) {
        layout.shapes.push({ type: 'rect', layer: 'below', xref: `x${suffix}`, yref: `y${suffix} domain`, x0: axis.start,
          x1: -SLOT * .45, y0: 0, y1: 1, line: { width: 0 }, fillcolor: filtags.style('--line'), opacity: .4 });
      }
    });
    const traces = v.panels.flatMap((layers, panel) => tracesOf(v, axis, xs, panel, layers, panelWidth));
    return [traces, layout, { displayModeBar: false }];
  }

  const chartWidth = () => $('chart').clientWidth || 800;

  function drawChart() {
    const what = view.against === 'm' ? `against m, a line for each ${view.rule}` : `against ${view.rule}, a line for each m`;
    $('chart-title').textContent = `${lineOf(labelOf(view.row))}: hit rate ${what}`;
    filtags.plot($('chart'), () => chartOf(view, chartWidth()));
    const notes = [];
    const hasMean = values[view.rule].some((value) => isMean(view.rule, value));
    if (hasMean) notes.push(`> mean: at ${view.rule} = 0${values[view.rule].some((value) => value < 0 || (view.rule === 'q' && value > 100))
      ? ' and values out of range' : ''}, all filters count whose activation is above the mean of their layer.`);
    const isEmpty = view.panels.every((layers) => view.list.every((_, i) => (view.against === 'm' ? m : values[view.rule])
      .every((_, x) => lineRate(view, layers, view.row, i, x) === null)));
    if (isEmpty) notes.push('There is no rate here: no test pictures.');
    $('chart-note').textContent = notes.join(' ');
  }

  const fileName = (...words) => words.map((word) => String(word).replace(/[^\w.-]+/g, '_').slice(0, 60)).join('-');

  /* The picture has a legend, which on screen is the chips above the chart. */
  function download(format) {
    const [traces] = chartOf(view, 1000), chart = $('chart'), layout = chart.layout;
    const [, wide] = chartOf(view, 1000);
    const figure = {
      data: traces,
      layout: { ...layout, ...wide, paper_bgcolor: filtags.style('--surface'), showlegend: true, width: 1000, height: 520,
        xaxis: { ...layout.xaxis, ...wide.xaxis }, yaxis: { ...layout.yaxis, ...wide.yaxis },
        ...(wide.xaxis2 ? { xaxis2: { ...layout.xaxis2, ...wide.xaxis2 }, yaxis2: { ...layout.yaxis2, ...wide.yaxis2 } } : {}),
        legend: { orientation: 'h', y: -.18, yanchor: 'top', itemsizing: 'constant', itemwidth: 48 }, margin: { l: 60, r: 20, t: 64, b: 110 },
        title: { text: plain(shorten(`${about.network} · ${$('chart-title').textContent}`, 90)), x: .02, xanchor: 'left', font: { size: 17 } } },
    };
    Plotly.downloadImage(figure, { format, width: 1000, height: 520, scale: format === 'png' ? 2 : 1,
      filename: fileName(about.run, 'HP', about.network, labelOf(view.row)) });
  }

  /* ---------------------------------------------------------------- pieces of SVG: swatches, small charts */

  function svgElement(name, attributes, ...children) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const star = (n, inner, turn = 0) => Array.from({ length: n }, (_, i) => {
    const angle = 2 * Math.PI * i / n + turn, r = i % 2 ? inner : 1;
    return [r * Math.sin(angle), -r * Math.cos(angle)];
  });
  const bars = [[-.36, -1], [.36, -1], [.36, -.36], [1, -.36], [1, .36], [.36, .36], [.36, 1], [-.36, 1], [-.36, .36], [-1, .36],
    [-1, -.36], [-.36, -.36]];
  const shapes = {
    square: star(4, 1, Math.PI / 4), diamond: star(4, 1), 'triangle-up': star(3, 1), cross: bars,
    x: bars.map(([x, y]) => [(x - y) * .75, (x + y) * .75]), star: star(10, .46), pentagon: star(5, 1),
  };
  const dashes = { solid: '', dash: '7 4', dot: '2 3', dashdot: '7 3 2 3', longdash: '11 4', longdashdot: '11 3 2 3' };

  function swatch(slot) {
    const { line, marker } = filtags.lineStyle(slot);
    const points = shapes[marker.symbol];
    return svgElement('svg', { width: 34, height: 14, viewBox: '0 0 34 14', 'aria-hidden': 'true' },
      svgElement('line', { x1: 0, x2: 34, y1: 7, y2: 7, stroke: line.color, 'stroke-width': 2, 'stroke-dasharray': dashes[line.dash] }),
      points ? svgElement('polygon', { fill: marker.color, points: points.map(([x, y]) => `${17 + 5 * x},${7 + 5 * y}`).join(' ') })
        : svgElement('circle', { fill: marker.color, cx: 17, cy: 7, r: 4 }));
  }

  function drawChips() {
    const { list, lines } = view;
    const name = view.against === 'm' ? view.rule : 'm';
    const text = (i) => (view.against === 'm' ? valueText(view.rule, list[i]) : String(list[i]));
    const isShort = list.length <= 12;
    const shown = isShort ? list.map((_, i) => i) : lines;
    const toggle = (i) => setLines(lines.includes(i) ? lines.filter((j) => j !== i) : [...lines, i].sort((a, b) => a - b));
    const chips = shown.map((i) => el('button', {
      class: 'chip', type: 'button', 'aria-pressed': String(lines.includes(i)), 'data-value': list[i],
      title: lines.includes(i) ? `Leave out ${name} = ${text(i)}` : `Show ${name} = ${text(i)}`, onclick: () => toggle(i),
    }, lines.includes(i) ? swatch(slots.get(i)) : null, text(i)));
    const parts = [el('span', { class: 'control-name' }, isShort ? `${name} =` : `${name} (${lines.length} of ${list.length}) =`), ...chips];
    if (!isShort && lines.length < MOST_LINES) {
      const rest = list.map((_, i) => i).filter((i) => !lines.includes(i));
      parts.push(el('select', { id: 'add-line', 'aria-label': `Add a value of ${name}`, onchange: (event) => toggle(Number(event.target.value)) },
        el('option', { value: '' }, `Add ${name} …`), ...rest.map((i) => el('option', { value: i }, text(i)))));
    }
    const isUsual = lines.length === view.usual.length && lines.every((i) => view.usual.includes(i));
    if (!isUsual) parts.push(el('button', { class: 'link', type: 'button', id: 'reset-lines', onclick: () => choose({ lines: null }) }, 'Reset'));
    $('lines').replaceChildren(...parts);
  }

  /* ---------------------------------------------------------------- every class */

  const WIDTH = 150, HEIGHT = 56;
  let nShown = 24;

  function miniChart(v, layers, row) {
    const xs = v.against === 'm' ? m : values[v.rule];
    const axis = axisOf(xs, v.against !== 'm', v.rule);
    const px = (value) => 4 + (WIDTH - 8) * (axis.of(value) - axis.start) / (1.02 - axis.start);
    const py = (rate) => 4 + (HEIGHT - 8) * (1 - rate);
    const svg = svgElement('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' });
    for (const rate of [0, .5, 1]) {
      svg.append(svgElement('line', { x1: 0, x2: WIDTH, y1: py(rate), y2: py(rate), stroke: 'var(--line)', 'vector-effect': 'non-scaling-stroke' }));
    }
    for (const i of v.lines) {
      const color = filtags.lineStyle(slots.get(i)).line.color;
      let path = '', isDown = false;
      xs.forEach((value, x) => {
        const rate = lineRate(v, layers, row, i, x);
        if (rate === null) { isDown = false; return; }
        const at = `${px(value).toFixed(1)},${py(rate).toFixed(1)}`;
        path += axis.apart.includes(value) || xs.length === 1 ? `M${at}h.01` : `${isDown ? 'L' : 'M'}${at}`;
        isDown = !axis.apart.includes(value);
      });
      svg.append(svgElement('path', { d: path, fill: 'none', stroke: color, 'stroke-width': 1.6, 'stroke-linecap': 'round',
        'stroke-linejoin': 'round', 'vector-effect': 'non-scaling-stroke' }));
    }
    return svg;
  }

  /* Rows (from 1) in the order of the overview; classes without a rate come last. */
  function sortedClasses(layers) {
    const rate = (row) => rateAt(view.rule, layers, row, view.at, view.atM);
    const rows = labels.map((_, i) => i + 1);
    if (view.sort === 'name') return rows.sort((a, b) => labels[a - 1].localeCompare(labels[b - 1]));
    if (view.sort === 'file') return rows;
    const direction = view.sort === 'low' ? 1 : -1;
    const keys = rows.map(rate);
    return rows.sort((a, b) => {
      const x = keys[a - 1], y = keys[b - 1];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return direction * (x - y) || a - b;
    });
  }

  function fillSelect(select, texts, chosen) {
    select.replaceChildren(...texts.map((text, i) => el('option', { value: i, selected: i === chosen }, text)));
    select.value = String(chosen);
  }

  function drawOverview() {
    $('overview').hidden = !hasClasses;
    if (!hasClasses) return;
    const layers = view.layers === 'last' ? 'last' : layersOf(view.rule)[0];
    const order = sortedClasses(layers);
    $('at-name').textContent = view.rule;
    fillSelect($('at'), values[view.rule].map((value) => valueText(view.rule, value)), view.at);
    fillSelect($('at-m'), m.map(String), view.atM);
    $('sort').value = view.sort;
    $('overview-note').textContent = `The lines of the chart for each of the ${labels.length.toLocaleString('en')} classes (${layerNames[layers]}), ` +
      `and the hit rate at ${view.rule} = ${valueText(view.rule, values[view.rule][view.at])}, m = ${m[view.atM]}. Choose a class to see it above.`;
    $('minis').replaceChildren(...order.slice(0, nShown).map((row) => {
      const rate = rateAt(view.rule, layers, row, view.at, view.atM), label = lineOf(labels[row - 1]);
      return el('button', { class: 'mini', type: 'button', title: labels[row - 1], 'data-row': row, 'aria-pressed': String(row === view.row),
        onclick: () => chooseClass(row === view.row ? 0 : row) },
      el('span', { class: 'head' }, el('span', { class: 'label' }, label), el('span', { class: 'rate' }, filtags.number(rate, 3))),
      miniChart(view, layers, row));
    }));
    $('more').hidden = labels.length <= nShown;
    $('more').textContent = `Show more (${(labels.length - nShown).toLocaleString('en')} left)`;
  }

  /* ---------------------------------------------------------------- the best */

  function bestFor(i) {
    let best = null;
    for (const rule of rules) {
      for (const layers of layersOf(rule)) {
        values[rule].forEach((value, v) => {
          const rate = rateAt(rule, layers, view.row, v, i);
          if (rate !== null && (!best || rate > best.rate)) best = { rate, rule, layers, value, v };
        });
      }
    }
    return best;
  }

  function drawBest() {
    const tiles = m.slice(0, 6).map((value, i) => {
      const best = bestFor(i);
      if (!best) return null;
      return el('button', { class: 'tile', type: 'button', title: 'Show this point',
        onclick: () => choose({ rule: best.rule, at: best.value, m: value, layers: view.layers === 'both' ? null : best.layers, lines: null }) },
      el('span', { class: 'what' }, `Best at m = ${value}`), el('span', { class: 'rate' }, filtags.number(best.rate)),
      el('span', { class: 'what' }, `${best.rule} = ${valueText(best.rule, best.value)}, ${layerNames[best.layers]}`));
    });
    $('best').replaceChildren(...tiles.filter(Boolean));
  }

  /* ---------------------------------------------------------------- tables */

  function tableOfSelection() {
    const layers = layersOf(view.rule);
    const rows = values[view.rule].flatMap((value, v) => m.map((mValue, i) => {
      const row = { value, m: mValue };
      for (const one of layers) row[one] = rateAt(view.rule, one, view.row, v, i);
      return row;
    }));
    const columns = [{ title: view.rule, key: 'value', isNumber: true, cell: (row) => valueText(view.rule, row.value) },
      { title: 'm', key: 'm', isNumber: true, cell: (row) => String(row.m) },
      ...layers.map((one) => rateColumn(one))];
    return { rows, columns, caption: `Hit rates of ${lineOf(labelOf(view.row)).replace(/^All c/, 'all c')}`,
      heads: [view.rule, 'm', ...layers.map((one) => `hit_rate_${one}`)],
      cells: (row) => [row.value, row.m, ...layers.map((one) => row[one])], name: labelOf(view.row) };
  }

  const rateColumn = (layers) => ({ title: layers === 'all' ? 'All layers' : 'Last layer', key: layers, isNumber: true,
    cell: (row) => filtags.number(row[layers]), sort: (row) => row[layers] ?? -1 });

  function tableOfClasses() {
    const layers = layersOf(view.rule);
    const rows = labels.map((label, i) => {
      const row = { label, row: i + 1 };
      for (const one of layers) row[one] = rateAt(view.rule, one, i + 1, view.at, view.atM);
      return row;
    });
    const value = values[view.rule][view.at];
    const columns = [{ title: 'Class', key: 'label',
      cell: (row) => el('button', { class: 'link wrap', type: 'button', onclick: () => { chooseClass(row.row); scrollTo(0, 0); } }, lineOf(row.label)) },
    ...layers.map((one) => rateColumn(one))];
    return { rows, columns, caption: `Hit rates of every class at ${view.rule} = ${valueText(view.rule, value)}, m = ${m[view.atM]}`,
      isChosen: (row) => row.row === view.row, heads: ['class', view.rule, 'm', ...layers.map((one) => `hit_rate_${one}`)],
      cells: (row) => [row.label, value, m[view.atM], ...layers.map((one) => row[one])], name: 'classes' };
  }

  const currentTable = () => (view.table === 'classes' ? tableOfClasses() : tableOfSelection());

  function drawTable() {
    const table = currentTable();
    $('table').replaceChildren(filtags.table(table.columns, table.rows, { caption: table.caption, isChosen: table.isChosen }));
  }

  /* RFC 4180; numbers in full. */
  function downloadTable() {
    const table = currentTable();
    const cell = (value) => (value === null || value === undefined ? ''
      : /[",\r\n]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value));
    const lines = [table.heads, ...table.rows.map(table.cells)].map((row) => row.map(cell).join(','));
    const url = URL.createObjectURL(new Blob([`${lines.join('\n')}\n`], { type: 'text/csv' }));
    el('a', { href: url, download: `${fileName(about.run, 'HP', about.network, view.rule, table.name)}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /* ---------------------------------------------------------------- controls */

  function segmented(id, choices, chosen, act) {
    $(id).replaceChildren(...choices.map(([value, text, isOff]) => el('button', {
      type: 'button', 'aria-pressed': String(value === chosen), 'data-value': value, disabled: isOff, onclick: () => act(value),
    }, text)));
  }

  function drawControls() {
    $('picker').hidden = !hasClasses;
    if (document.activeElement !== $('class')) $('class').value = lineOf(labelOf(view.row));
    segmented('rule', rules.map((rule) => [rule, rule === 'k' ? 'k filters' : 'q percent']), view.rule,
      (rule) => choose({ rule, lines: null, at: null }));
    segmented('against', [['m', 'm'], ['value', view.rule]], view.against, (against) => choose({ against, lines: null }));
    const there = layersOf(view.rule);
    segmented('layers', [...(there.length > 1 ? [['both', 'Both']] : []), ...there.map((one) => [one, one === 'all' ? 'All' : 'Last'])],
      view.layers, (layers) => choose({ layers }));
    segmented('table-of', [['selection', 'This selection'], ...(hasClasses ? [['classes', 'Every class']] : [])], view.table,
      (table) => choose({ table }));
  }

  /* The list of classes under the field: what matches the text, walked by arrows. */
  const field = $('class'), list = $('classes'), MOST_MATCHES = 100;
  let matches = [], active = -1;

  function showMatches(text) {
    const wanted = text.trim().toLowerCase();
    const found = [0, ...labels.map((_, i) => i + 1)].filter((row) => !wanted || lineOf(labelOf(row)).toLowerCase().includes(wanted));
    matches = found.slice(0, MOST_MATCHES);
    active = wanted && matches.length ? 0 : -1;
    const layers = view.layers === 'last' ? 'last' : layersOf(view.rule)[0];
    const items = matches.map((row, i) => el('li', { role: 'option', id: `class-option-${i}`, 'aria-selected': String(row === view.row),
      onmousedown: (event) => { event.preventDefault(); pick(row); } },
    el('span', {}, lineOf(labelOf(row))), el('span', { class: 'muted number' }, filtags.number(rateAt(view.rule, layers, row, view.at, view.atM), 3))));
    const nRest = found.length - matches.length;
    if (nRest || !found.length) items.push(el('li', { class: 'rest' }, nRest ? `${nRest.toLocaleString('en')} more: type to find them` : 'No class of that name'));
    list.replaceChildren(...items);
    list.hidden = false;
    field.setAttribute('aria-expanded', 'true');
    markActive();
  }

  function markActive() {
    [...list.children].forEach((item, i) => item.classList.toggle('active', i === active));
    if (active >= 0) {
      field.setAttribute('aria-activedescendant', `class-option-${active}`);
      list.children[active].scrollIntoView({ block: 'nearest' });
    } else {
      field.removeAttribute('aria-activedescendant');
    }
  }

  function hideMatches() {
    list.hidden = true;
    field.setAttribute('aria-expanded', 'false');
    field.value = lineOf(labelOf(view.row));
  }

  function pick(row) {
    field.blur();
    chooseClass(row);
    hideMatches();
  }

  field.addEventListener('focus', () => { field.select(); showMatches(''); });
  field.addEventListener('input', () => showMatches(field.value));
  field.addEventListener('blur', hideMatches);
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') field.blur();
    else if (event.key === 'Enter' && matches.length) pick(matches[Math.max(active, 0)]);
    else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && matches.length) {
      active = (active + (event.key === 'ArrowDown' ? 1 : -1) + matches.length) % matches.length;
      markActive();
    } else return;
    event.preventDefault();
  });

  const stepClass = (by) => { if (hasClasses) chooseClass((view.row + by + labels.length + 1) % (labels.length + 1)); };
  const next = (choices, chosen) => choices[(choices.indexOf(chosen) + 1) % choices.length];
  $('previous').addEventListener('click', () => stepClass(-1));
  $('next').addEventListener('click', () => stepClass(1));
  $('png').addEventListener('click', () => download('png'));
  $('svg').addEventListener('click', () => download('svg'));
  $('csv').addEventListener('click', downloadTable);
  $('sort').addEventListener('change', (event) => choose({ sort: event.target.value === 'low' ? null : event.target.value }));
  $('at').addEventListener('change', (event) => choose({ at: values[view.rule][event.target.value] }));
  $('at-m').addEventListener('change', (event) => choose({ m: m[event.target.value] }));
  $('more').addEventListener('click', () => { nShown += 96; drawOverview(); });
  filtags.keys([
    ['n', 'next class', () => stepClass(1)], ['p', 'previous class', () => stepClass(-1)],
    ['t', 'all classes', () => chooseClass(0)], ['/', 'find a class', () => { if (hasClasses) field.focus(); }],
    ['r', 'tags of k or of q', () => choose({ rule: next(rules, view.rule), lines: null, at: null })],
    ['x', 'against m, or against k or q', () => choose({ against: next(['m', 'value'], view.against), lines: null })],
    ['l', 'both, all layers, last layer', () => { if (layersOf(view.rule).length > 1) choose({ layers: next(['both', 'all', 'last'], view.layers) }); }],
  ]);

  /* ---------------------------------------------------------------- all of it */

  function render() {
    view = readView();
    assignSlots(view);
    drawControls();
    drawBest();
    drawChips();
    drawChart();
    drawOverview();
    drawTable();
  }

  let lastWidth = 0;
  new ResizeObserver(() => {
    if (!lastWidth || Math.abs(chartWidth() - lastWidth) < 2) { lastWidth = lastWidth || chartWidth(); return; }
    lastWidth = chartWidth();
    drawChart();
  }).observe($('chart'));
  document.addEventListener('filtags-theme', () => { drawChips(); drawOverview(); });
  state.onchange = render;
  $('title').textContent = `Hit rates of ${about.network}`;
  $('footnote').textContent = 'The hit rate is the share of test pictures for which the network\'s own top-1 label is among the first m labels that the tags of ' +
    'the picture\'s most active filters predict: of the k most active ones, or of the q percent most active ones, of every layer or of the last layer alone. ' +
    `From ${about.file}; filTags ${about.version}. Charts and tables round to four digits, the pointer shows six, CSV has all.`;
  render();
  document.body.dataset.ready = 'true';
})();
