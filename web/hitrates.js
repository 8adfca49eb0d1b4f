/* hitrates.js - the page of plot-hitrates: hit rates as lines, as small charts of all classes, and as tables.
 *
 * What is chosen lives in the address: class (its number from 1, none: all classes), rule (k, q), against (m, value),
 * layers (both, all, last), lines (values of the lines, where they aren't the page's choice), at and m (the point by
 * which classes are compared), sort, table. render() draws all of it anew; every control sets the address and
 * calls it. */
'use strict';
(async () => {
  const { el, state, plain, shorten } = filtags;
  const $ = (id) => document.getElementById(id);
  const data = await loadHitrates();
  const {
    about,
    values,
    m,
    labels,
    hasClasses,
    rateAt,
    layerNames,
    rules,
    layersOf,
    isMean,
    valueText,
    labelOf,
    lineOf,
  } = data;
  const { defaultLines } = data;
  const { chartOf, miniChart, swatch, lineRate } = hitratesCharts(data);

  /* ---------------------------------------------------------------- what is chosen */

  const MOST_LINES = 16;
  const oneOf = (name, choices, otherwise) => (choices.includes(state.get(name)) ? state.get(name) : otherwise);

  function readView() {
    const row = hasClasses && /^\d+$/.test(state.get('class') || '') ? Number(state.get('class')) : 0;
    const rule = oneOf('rule', rules, rules[0]);
    const against = oneOf('against', ['m', 'value'], m.length > 1 ? 'm' : 'value');
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
      row: row <= labels.length ? row : 0,
      rule,
      against,
      layers,
      list,
      lines,
      usual,
      panels: layers === 'both' ? there : [layers],
      at: atValue >= 0 ? atValue : five >= 0 ? five : Math.max(firstAmount, 0),
      atM: Math.max(atM, 0),
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

  /* ---------------------------------------------------------------- the chart */

  /* A line keeps its colour while others come and go. */
  let slots = new Map(),
    slotsOf = '';
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
    return slots;
  }

  const chartWidth = () => $('chart').clientWidth || 800;

  function drawChart() {
    const what =
      view.against === 'm' ? `against m, a line for each ${view.rule}` : `against ${view.rule}, a line for each m`;
    $('chart-title').textContent = `${lineOf(labelOf(view.row))}: hit rate ${what}`;
    filtags.plot($('chart'), () => chartOf(view, chartWidth()));
    const notes = [];
    const hasMean = values[view.rule].some((value) => isMean(view.rule, value));
    if (hasMean)
      notes.push(
        `> mean: at ${view.rule} = 0${
          values[view.rule].some((value) => value < 0 || (view.rule === 'q' && value > 100))
            ? ' and values out of range'
            : ''
        }, all filters count whose activation is above the mean of their layer.`,
      );
    const isEmpty = view.panels.every((layers) =>
      view.list.every((_, i) =>
        (view.against === 'm' ? m : values[view.rule]).every((_, x) => lineRate(view, layers, view.row, i, x) === null),
      ),
    );
    if (isEmpty) notes.push('There is no rate here: no test pictures.');
    $('chart-note').textContent = notes.join(' ');
  }

  const fileName = (...words) =>
    words
      .map((word) =>
        String(word)
          .replace(/[^\w.-]+/g, '_')
          .slice(0, 60),
      )
      .join('-');

  /* The picture has a legend, which on screen is the chips above the chart. */
  function download(format) {
    const [traces] = chartOf(view, 1000),
      chart = $('chart'),
      layout = chart.layout;
    const [, wide] = chartOf(view, 1000);
    const figure = {
      data: traces,
      layout: {
        ...layout,
        ...wide,
        paper_bgcolor: filtags.style('--surface'),
        showlegend: true,
        width: 1000,
        height: 520,
        xaxis: { ...layout.xaxis, ...wide.xaxis },
        yaxis: { ...layout.yaxis, ...wide.yaxis },
        ...(wide.xaxis2
          ? { xaxis2: { ...layout.xaxis2, ...wide.xaxis2 }, yaxis2: { ...layout.yaxis2, ...wide.yaxis2 } }
          : {}),
        legend: { orientation: 'h', y: -0.18, yanchor: 'top', itemsizing: 'constant', itemwidth: 48 },
        margin: { l: 60, r: 20, t: 64, b: 110 },
        title: {
          text: plain(shorten(`${about.network} · ${$('chart-title').textContent}`, 90)),
          x: 0.02,
          xanchor: 'left',
          font: { size: 17 },
        },
      },
    };
    Plotly.downloadImage(figure, {
      format,
      width: 1000,
      height: 520,
      scale: format === 'png' ? 2 : 1,
      filename: fileName(about.run, 'HP', about.network, labelOf(view.row)),
    });
  }

  function drawChips() {
    const { list, lines } = view;
    const name = view.against === 'm' ? view.rule : 'm';
    const text = (i) => (view.against === 'm' ? valueText(view.rule, list[i]) : String(list[i]));
    const isShort = list.length <= 12;
    const shown = isShort ? list.map((_, i) => i) : lines;
    const toggle = (i) =>
      setLines(lines.includes(i) ? lines.filter((j) => j !== i) : [...lines, i].sort((a, b) => a - b));
    const chips = shown.map((i) =>
      el(
        'button',
        {
          class: 'chip',
          type: 'button',
          'aria-pressed': String(lines.includes(i)),
          'data-value': list[i],
          title: lines.includes(i) ? `Leave out ${name} = ${text(i)}` : `Show ${name} = ${text(i)}`,
          onclick: () => toggle(i),
        },
        lines.includes(i) ? swatch(view.slots.get(i)) : null,
        text(i),
      ),
    );
    const parts = [
      el('span', { class: 'control-name' }, isShort ? `${name} =` : `${name} (${lines.length} of ${list.length}) =`),
      ...chips,
    ];
    if (!isShort && lines.length < MOST_LINES) {
      const rest = list.map((_, i) => i).filter((i) => !lines.includes(i));
      parts.push(
        el(
          'select',
          {
            id: 'add-line',
            'aria-label': `Add a value of ${name}`,
            onchange: (event) => toggle(Number(event.target.value)),
          },
          el('option', { value: '' }, `Add ${name} …`),
          ...rest.map((i) => el('option', { value: i }, text(i))),
        ),
      );
    }
    const isUsual = lines.length === view.usual.length && lines.every((i) => view.usual.includes(i));
    if (!isUsual)
      parts.push(
        el(
          'button',
          { class: 'link', type: 'button', id: 'reset-lines', onclick: () => choose({ lines: null }) },
          'Reset',
        ),
      );
    $('lines').replaceChildren(...parts);
  }

  /* ---------------------------------------------------------------- every class */

  let nShown = 24;

  /* Rows (from 1) in the order of the overview; classes without a rate come last. */
  function sortedClasses(layers) {
    const rate = (row) => rateAt(view.rule, layers, row, view.at, view.atM);
    const rows = labels.map((_, i) => i + 1);
    if (view.sort === 'name') return rows.sort((a, b) => labels[a - 1].localeCompare(labels[b - 1]));
    if (view.sort === 'file') return rows;
    const direction = view.sort === 'low' ? 1 : -1;
    const keys = rows.map(rate);
    return rows.sort((a, b) => {
      const x = keys[a - 1],
        y = keys[b - 1];
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
    fillSelect(
      $('at'),
      values[view.rule].map((value) => valueText(view.rule, value)),
      view.at,
    );
    fillSelect($('at-m'), m.map(String), view.atM);
    $('sort').value = view.sort;
    $('overview-note').textContent =
      `The lines of the chart for each of the ${labels.length.toLocaleString('en')} classes (${layerNames[layers]}), ` +
      `and the hit rate at ${view.rule} = ${valueText(view.rule, values[view.rule][view.at])}, m = ${m[view.atM]}. ` +
      'Choose a class to see it above.';
    $('minis').replaceChildren(
      ...order.slice(0, nShown).map((row) => {
        const rate = rateAt(view.rule, layers, row, view.at, view.atM),
          label = lineOf(labels[row - 1]);
        return el(
          'button',
          {
            class: 'mini',
            type: 'button',
            title: labels[row - 1],
            'data-row': row,
            'aria-pressed': String(row === view.row),
            onclick: () => chooseClass(row === view.row ? 0 : row),
          },
          el(
            'span',
            { class: 'head' },
            el('span', { class: 'label' }, label),
            el('span', { class: 'rate' }, filtags.number(rate, 3)),
          ),
          miniChart(view, layers, row),
        );
      }),
    );
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
      return el(
        'button',
        {
          class: 'tile',
          type: 'button',
          title: 'Show this point',
          onclick: () =>
            choose({
              rule: best.rule,
              at: best.value,
              m: value,
              layers: view.layers === 'both' ? null : best.layers,
              lines: null,
            }),
        },
        el('span', { class: 'what' }, `Best at m = ${value}`),
        el('span', { class: 'rate' }, filtags.number(best.rate)),
        el('span', { class: 'what' }, `${best.rule} = ${valueText(best.rule, best.value)}, ${layerNames[best.layers]}`),
      );
    });
    $('best').replaceChildren(...tiles.filter(Boolean));
  }

  /* ---------------------------------------------------------------- tables */

  function tableOfSelection() {
    const layers = layersOf(view.rule);
    const rows = values[view.rule].flatMap((value, v) =>
      m.map((mValue, i) => {
        const row = { value, m: mValue };
        for (const one of layers) row[one] = rateAt(view.rule, one, view.row, v, i);
        return row;
      }),
    );
    const columns = [
      { title: view.rule, key: 'value', isNumber: true, cell: (row) => valueText(view.rule, row.value) },
      { title: 'm', key: 'm', isNumber: true, cell: (row) => String(row.m) },
      ...layers.map((one) => rateColumn(one)),
    ];
    return {
      rows,
      columns,
      caption: `Hit rates of ${lineOf(labelOf(view.row)).replace(/^All c/, 'all c')}`,
      heads: [view.rule, 'm', ...layers.map((one) => `hit_rate_${one}`)],
      cells: (row) => [row.value, row.m, ...layers.map((one) => row[one])],
      name: labelOf(view.row),
    };
  }

  const rateColumn = (layers) => ({
    title: layers === 'all' ? 'All layers' : 'Last layer',
    key: layers,
    isNumber: true,
    cell: (row) => filtags.number(row[layers]),
    sort: (row) => row[layers] ?? -1,
  });

  function tableOfClasses() {
    const layers = layersOf(view.rule);
    const rows = labels.map((label, i) => {
      const row = { label, row: i + 1 };
      for (const one of layers) row[one] = rateAt(view.rule, one, i + 1, view.at, view.atM);
      return row;
    });
    const value = values[view.rule][view.at];
    const columns = [
      {
        title: 'Class',
        key: 'label',
        cell: (row) =>
          el(
            'button',
            {
              class: 'link wrap',
              type: 'button',
              onclick: () => {
                chooseClass(row.row);
                scrollTo(0, 0);
              },
            },
            lineOf(row.label),
          ),
      },
      ...layers.map((one) => rateColumn(one)),
    ];
    return {
      rows,
      columns,
      caption: `Hit rates of every class at ${view.rule} = ${valueText(view.rule, value)}, m = ${m[view.atM]}`,
      isChosen: (row) => row.row === view.row,
      heads: ['class', view.rule, 'm', ...layers.map((one) => `hit_rate_${one}`)],
      cells: (row) => [row.label, value, m[view.atM], ...layers.map((one) => row[one])],
      name: 'classes',
    };
  }

  const currentTable = () => (view.table === 'classes' ? tableOfClasses() : tableOfSelection());

  function drawTable() {
    const table = currentTable();
    $('table').replaceChildren(
      filtags.table(table.columns, table.rows, { caption: table.caption, isChosen: table.isChosen }),
    );
  }

  /* RFC 4180; numbers in full. */
  function downloadTable() {
    const table = currentTable();
    const cell = (value) =>
      value === null || value === undefined
        ? ''
        : /[",\r\n]/.test(String(value))
          ? `"${String(value).replace(/"/g, '""')}"`
          : String(value);
    const lines = [table.heads, ...table.rows.map(table.cells)].map((row) => row.map(cell).join(','));
    const url = URL.createObjectURL(new Blob([`${lines.join('\n')}\n`], { type: 'text/csv' }));
    el('a', { href: url, download: `${fileName(about.run, 'HP', about.network, view.rule, table.name)}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /* ---------------------------------------------------------------- controls */

  function segmented(id, choices, chosen, act) {
    $(id).replaceChildren(
      ...choices.map(([value, text, isOff]) =>
        el(
          'button',
          {
            type: 'button',
            'aria-pressed': String(value === chosen),
            'data-value': value,
            disabled: isOff,
            onclick: () => act(value),
          },
          text,
        ),
      ),
    );
  }

  function drawControls() {
    $('picker').hidden = !hasClasses;
    if (document.activeElement !== $('class')) $('class').value = lineOf(labelOf(view.row));
    segmented(
      'rule',
      rules.map((rule) => [rule, rule === 'k' ? 'k filters' : 'q percent']),
      view.rule,
      (rule) => choose({ rule, lines: null, at: null }),
    );
    segmented(
      'against',
      [
        ['m', 'm'],
        ['value', view.rule],
      ],
      view.against,
      (against) => choose({ against, lines: null }),
    );
    const there = layersOf(view.rule);
    segmented(
      'layers',
      [...(there.length > 1 ? [['both', 'Both']] : []), ...there.map((one) => [one, one === 'all' ? 'All' : 'Last'])],
      view.layers,
      (layers) => choose({ layers }),
    );
    segmented(
      'table-of',
      [['selection', 'This selection'], ...(hasClasses ? [['classes', 'Every class']] : [])],
      view.table,
      (table) => choose({ table }),
    );
  }

  /* The list of classes under the field: what matches the text, walked by arrows. */
  const field = $('class'),
    list = $('classes'),
    MOST_MATCHES = 100;
  let matches = [],
    active = -1;

  function showMatches(text) {
    const wanted = text.trim().toLowerCase();
    const found = [0, ...labels.map((_, i) => i + 1)].filter(
      (row) => !wanted || lineOf(labelOf(row)).toLowerCase().includes(wanted),
    );
    matches = found.slice(0, MOST_MATCHES);
    active = wanted && matches.length ? 0 : -1;
    const layers = view.layers === 'last' ? 'last' : layersOf(view.rule)[0];
    const items = matches.map((row, i) =>
      el(
        'li',
        {
          role: 'option',
          id: `class-option-${i}`,
          'aria-selected': String(row === view.row),
          onmousedown: (event) => {
            event.preventDefault();
            pick(row);
          },
        },
        el('span', {}, lineOf(labelOf(row))),
        el('span', { class: 'muted number' }, filtags.number(rateAt(view.rule, layers, row, view.at, view.atM), 3)),
      ),
    );
    const nRest = found.length - matches.length;
    if (nRest || !found.length)
      items.push(
        el(
          'li',
          { class: 'rest' },
          nRest ? `${nRest.toLocaleString('en')} more: type to find them` : 'No class of that name',
        ),
      );
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

  field.addEventListener('focus', () => {
    field.select();
    showMatches('');
  });
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

  const stepClass = (by) => {
    if (hasClasses) chooseClass((view.row + by + labels.length + 1) % (labels.length + 1));
  };
  const next = (choices, chosen) => choices[(choices.indexOf(chosen) + 1) % choices.length];
  $('previous').addEventListener('click', () => stepClass(-1));
  $('next').addEventListener('click', () => stepClass(1));
  $('png').addEventListener('click', () => download('png'));
  $('svg').addEventListener('click', () => download('svg'));
  $('csv').addEventListener('click', downloadTable);
  $('sort').addEventListener('change', (event) =>
    choose({ sort: event.target.value === 'low' ? null : event.target.value }),
  );
  $('at').addEventListener('change', (event) => choose({ at: values[view.rule][event.target.value] }));
  $('at-m').addEventListener('change', (event) => choose({ m: m[event.target.value] }));
  $('more').addEventListener('click', () => {
    nShown += 96;
    drawOverview();
  });
  filtags.keys([
    ['n', 'next class', () => stepClass(1)],
    ['p', 'previous class', () => stepClass(-1)],
    ['t', 'all classes', () => chooseClass(0)],
    [
      '/',
      'find a class',
      () => {
        if (hasClasses) field.focus();
      },
    ],
    ['r', 'tags of k or of q', () => choose({ rule: next(rules, view.rule), lines: null, at: null })],
    ['x', 'against m, or against k or q', () => choose({ against: next(['m', 'value'], view.against), lines: null })],
    [
      'l',
      'both, all layers, last layer',
      () => {
        if (layersOf(view.rule).length > 1) choose({ layers: next(['both', 'all', 'last'], view.layers) });
      },
    ],
  ]);

  /* ---------------------------------------------------------------- all of it */

  function render() {
    view = readView();
    view.slots = assignSlots(view);
    drawControls();
    drawBest();
    drawChips();
    drawChart();
    drawOverview();
    drawTable();
  }

  let lastWidth = 0;
  new ResizeObserver(() => {
    if (!lastWidth || Math.abs(chartWidth() - lastWidth) < 2) {
      lastWidth = lastWidth || chartWidth();
      return;
    }
    lastWidth = chartWidth();
    drawChart();
  }).observe($('chart'));
  document.addEventListener('filtags-theme', () => {
    drawChips();
    drawOverview();
  });
  state.onchange = render;
  $('title').textContent = `Hit rates of ${about.network}`;
  $('footnote').textContent =
    "The hit rate is the share of test pictures for which the network's own top-1 label is among the first m labels " +
    "that the tags of the picture's most active filters predict: of the k most active ones, or of the q percent most " +
    'active ones, of every layer or of the last layer alone. ' +
    `From ${about.file}; filTags ${about.version}. ` +
    'Charts and tables round to four digits, the pointer shows six, CSV has all.';
  render();
  document.body.dataset.ready = 'true';
})();
