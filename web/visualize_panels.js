/* visualize_panels.js - the details beside the map: tags per layer, a class and its filters. */
'use strict';
const panels = (() => {
  const { el } = filtags;
  const { layers, classes, nClasses } = tagData;
  /* As many digits as are true, five where they are to be read at a glance. */
  const nTrue = tagData.activations ? Math.ceil(-Math.log10(tagData.activations.greatestError || 1e-7)) : 4;
  const activationText = (value, most = 5) =>
    value === undefined ? '–' : value.toFixed(Math.max(4, Math.min(most, nTrue)));
  /* A label on screen: text of any direction, that leaves what is beside it alone. */
  const labelText = (text, most) => el('bdi', {}, filtags.shorten(text, most));
  const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
  const unique = (list) => [...new Set(list)];
  let actions = null; // {layer(i), class(c), filter(i, f)}

  const fact = (value, what) =>
    el('div', { class: 'fact' }, el('strong', {}, String(value)), el('span', { class: 'muted small' }, what));

  function classLink(index, attributes = {}) {
    const distinction = tagData.distinction(index);
    return el(
      'button',
      {
        class: 'link wrap-name',
        type: 'button',
        dataset: { class: classes[index].id },
        title: classTitle(index),
        onclick: () => actions.class(index),
        ...attributes,
      },
      labelText(classes[index].label, 80),
      distinction ? el('span', { class: 'muted small' }, ` ${distinction}`) : null,
    );
  }

  function classTitle(index) {
    const one = classes[index];
    const parts = [one.label];
    if (one.wnid) parts.push(one.wnid);
    if (one.number !== undefined) parts.push(`class ${one.number}`);
    return parts.join(' · ');
  }

  const filterLink = (layer, filter) =>
    el(
      'button',
      {
        class: 'link mono',
        type: 'button',
        dataset: { layer: layers[layer].name, filter },
        onclick: () => actions.filter(layer, filter),
      },
      String(filter),
    );

  /* ---------------------------------------------------------------- layers */

  const SUMMARY = [
    ['0 tags', 0, 0, 0],
    ['1 tag', 1, 1, 1],
    ['2–5 tags', 2, 5, 2],
    ['more', 6, Infinity, 3],
  ];
  const summarise = (selector) =>
    layers.map((layer, i) => {
      const counts = tagData.counts(layer, selector);
      const row = { layer: i, name: layer.name, filters: layer.filters, tags: 0, most: 0, parts: [0, 0, 0, 0] };
      for (const n of counts) {
        row.tags += n;
        row.most = Math.max(row.most, n);
        row.parts[SUMMARY.findIndex(([, , last]) => n <= last)]++;
      }
      return row;
    });
  let isShare = true;

  function summaryPlot(rows, element) {
    return filtags.plot(element, () => {
      const names = rows.map((row) => filtags.plain(filtags.shorten(row.name, 24)));
      const places = rows.map((_, i) => i);
      const traces = SUMMARY.map(([title, , , bin], part) => ({
        type: 'bar',
        orientation: 'h',
        name: title,
        y: places,
        x: rows.map((row) => (isShare ? (100 * row.parts[part]) / row.filters : row.parts[part])),
        customdata: rows.map((row) => [
          filtags.plain(row.name),
          row.parts[part],
          row.filters,
          ((100 * row.parts[part]) / row.filters).toFixed(1),
        ]),
        hovertemplate:
          `%{customdata[0]}<br>${title}: %{customdata[1]} of %{customdata[2]} filters ` +
          '(%{customdata[3]} %)<extra></extra>',
        marker: { color: filterMap.theme().bins[bin], line: { width: 0 } },
      }));
      return [
        traces,
        {
          barmode: 'stack',
          bargap: 0.25,
          height: 60 + 24 * rows.length,
          showlegend: false,
          dragmode: false,
          margin: { l: 10, r: 14, t: 4, b: 40 },
          xaxis: {
            title: { text: isShare ? 'share of filters, %' : 'filters' },
            range: isShare ? [0, 100] : undefined,
            dtick: isShare ? 25 : undefined,
            fixedrange: true,
          },
          yaxis: {
            autorange: 'reversed',
            showgrid: false,
            tickvals: places,
            ticktext: names,
            fixedrange: true,
            ticklen: 4,
          },
        },
        { displayModeBar: false },
      ];
    });
  }

  function showLayers(view, panel) {
    const rows = summarise(view.selector.index);
    const total = rows.reduce(
      (sum, row) => ({
        filters: sum.filters + row.filters,
        tags: sum.tags + row.tags,
        none: sum.none + row.parts[0],
        one: sum.one + row.parts[1],
      }),
      { filters: 0, tags: 0, none: 0, one: 0 },
    );
    const chart = el('div', {
      class: 'plot',
      id: 'summary-plot',
      role: 'img',
      'aria-label': 'Filters of each layer by number of tags; the table below has the numbers',
    });
    const toggle = el(
      'div',
      { class: 'segmented small', role: 'group', 'aria-label': 'Unit' },
      ...[
        ['share', true],
        ['filters', false],
      ].map(([title, share]) =>
        el(
          'button',
          {
            type: 'button',
            'aria-pressed': String(isShare === share),
            dataset: { unit: title },
            onclick: () => {
              isShare = share;
              panels.show('layers', view);
            },
          },
          title,
        ),
      ),
    );
    const table = filtags.table(
      [
        {
          title: 'layer',
          key: 'name',
          sort: (row) => row.layer,
          cell: (row) =>
            el(
              'button',
              { class: 'link', type: 'button', dataset: { layer: row.name }, onclick: () => actions.layer(row.layer) },
              filtags.shorten(row.name, 22),
            ),
        },
        { title: 'filters', key: 'filters', isNumber: true, cell: (row) => row.filters.toLocaleString('en') },
        ...SUMMARY.map(([title], part) => ({
          title: ['0', '1', '2–5', 'more'][part],
          isNumber: true,
          sort: (row) => row.parts[part],
          cell: (row) => row.parts[part].toLocaleString('en'),
        })),
        { title: 'tags', key: 'tags', isNumber: true, cell: (row) => row.tags.toLocaleString('en') },
        { title: 'most', key: 'most', isNumber: true, cell: (row) => row.most.toLocaleString('en') },
      ],
      rows,
      {
        caption: 'Filters by number of tags; tags of all; most of one filter',
        limit: 400,
        isChosen: (row) => row.layer === view.layer,
      },
    );
    table.id = 'summary-table';
    panel.replaceChildren(
      el(
        'div',
        { class: 'facts' },
        fact(total.filters.toLocaleString('en'), 'filters'),
        fact(total.tags.toLocaleString('en'), 'tags'),
        fact(total.none.toLocaleString('en'), 'without a tag'),
        fact(total.one.toLocaleString('en'), 'of one class'),
      ),
      el('div', { class: 'row' }, el('h3', {}, 'Tags per layer'), el('span', { class: 'space' }), toggle),
      el(
        'p',
        { class: 'note keys' },
        ...SUMMARY.flatMap(([title, , , bin]) => [el('span', { class: `swatch bin-${bin}` }), title]),
      ),
      chart,
      table,
    );
    return summaryPlot(rows, chart);
  }

  /* ---------------------------------------------------------------- class */

  /* Filters of a class in all layers, strongest first. */
  function filtersOfClass(view) {
    const rows = [];
    layers.forEach((layer, i) => {
      const counts = tagData.counts(layer, view.selector.index);
      for (const filter of unique(tagData.filtersOf(layer, view.classIndex, view.selector.index))) {
        rows.push({
          layer: i,
          filter,
          others: counts[filter] - 1,
          value: tagData.activation(layer, filter, view.classIndex),
        });
      }
    });
    const isValued = tagData.hasActivations() && tagData.hasRow(view.classIndex);
    return rows.sort((a, b) => (isValued ? b.value - a.value : 0) || a.layer - b.layer || a.filter - b.filter);
  }

  function companions(rows, view) {
    const shared = new Map();
    for (const row of rows) {
      for (const other of unique(tagData.classesOf(layers[row.layer], row.filter, view.selector.index))) {
        if (other !== view.classIndex) shared.set(other, (shared.get(other) || 0) + 1);
      }
    }
    return [...shared].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 8);
  }

  function showAllClasses(view, panel) {
    const nFilters = new Uint32Array(nClasses),
      nOwn = new Uint32Array(nClasses);
    for (const layer of layers) {
      const counts = tagData.counts(layer, view.selector.index);
      for (let c = 0; c < nClasses; c++) {
        for (const filter of unique(tagData.filtersOf(layer, c, view.selector.index))) {
          nFilters[c]++;
          if (counts[filter] === 1) nOwn[c]++;
        }
      }
    }
    const hasWnids = classes.some((one) => one.wnid),
      hasNumbers = classes.some((one) => one.number !== undefined);
    const table = filtags.table(
      [
        { title: 'class', key: 'label', cell: (one) => classLink(one.index) },
        ...(hasWnids
          ? [
              {
                title: 'wnid',
                key: 'wnid',
                sort: (one) => one.wnid || '',
                cell: (one) => el('span', { class: 'mono unbroken' }, filtags.shorten(one.wnid || '–', 16)),
              },
            ]
          : []),
        ...(hasNumbers
          ? [
              {
                title: 'number',
                isNumber: true,
                sort: (one) => one.number || 0,
                cell: (one) => (one.number === undefined ? '–' : String(one.number)),
              },
            ]
          : []),
        {
          title: 'filters',
          isNumber: true,
          sort: (one) => nFilters[one.index],
          cell: (one) => nFilters[one.index].toLocaleString('en'),
        },
        {
          title: 'its own',
          isNumber: true,
          sort: (one) => nOwn[one.index],
          cell: (one) => nOwn[one.index].toLocaleString('en'),
        },
      ],
      classes,
      { caption: 'Filters that a class tags; its own: no other class tags them' },
    );
    table.id = 'class-table';
    panel.replaceChildren(
      el(
        'p',
        { class: 'muted' },
        `Choose one of ${count(nClasses, 'class', 'classes')}: its filters light up in every layer.`,
      ),
      table,
    );
  }

  function showClass(view, panel) {
    if (view.classIndex === null) {
      showAllClasses(view, panel);
      return;
    }
    const one = classes[view.classIndex];
    const rows = filtersOfClass(view);
    const nOwn = rows.filter((row) => row.others === 0).length;
    const isValued = tagData.hasActivations() && tagData.hasRow(view.classIndex);
    const table = filtags.table(
      [
        ...(isValued
          ? [{ title: 'activation', key: 'value', isNumber: true, cell: (row) => activationText(row.value) }]
          : []),
        {
          title: 'layer',
          sort: (row) => row.layer,
          cell: (row) =>
            el(
              'button',
              { class: 'link', type: 'button', onclick: () => actions.layer(row.layer) },
              filtags.shorten(layers[row.layer].name, 28),
            ),
        },
        {
          title: 'filter',
          isNumber: true,
          sort: (row) => row.filter,
          cell: (row) => filterLink(row.layer, row.filter),
        },
        {
          title: 'other classes',
          isNumber: true,
          sort: (row) => row.others,
          cell: (row) => row.others.toLocaleString('en'),
        },
      ],
      rows,
      {
        caption: `Filters that this class tags with ${view.selectorText}${isValued ? ', strongest first' : ''}`,
        isChosen: (row) => row.layer === view.layer && row.filter === view.filter,
      },
    );
    table.id = 'class-filters';
    const near = companions(rows, view);
    panel.replaceChildren(
      el(
        'div',
        { class: 'panel-title' },
        el('h2', { class: 'wrap', id: 'class-name' }, one.label),
        el('button', { type: 'button', id: 'class-clear', onclick: () => actions.class(null) }, 'All classes'),
      ),
      el(
        'p',
        { class: 'muted small mono wrap' },
        [
          one.wnid,
          one.number === undefined ? null : `class ${one.number}`,
          one.label === one.key || one.wnid === one.key ? null : one.key,
        ]
          .filter(Boolean)
          .join(' · '),
      ),
      ...notesOfClass(one),
      el(
        'div',
        { class: 'facts' },
        fact(rows.length.toLocaleString('en'), rows.length === 1 ? 'filter' : 'filters'),
        fact(new Set(rows.map((row) => row.layer)).size, `of ${layers.length} layers`),
        fact(nOwn.toLocaleString('en'), 'tagged by no other class'),
      ),
      near.length
        ? el(
            'div',
            { class: 'near' },
            el('h3', {}, 'Shares most filters with'),
            el(
              'div',
              {},
              ...near.map(([other, n]) =>
                el(
                  'button',
                  {
                    class: 'tag',
                    type: 'button',
                    dataset: { class: classes[other].id },
                    title: classTitle(other),
                    onclick: () => actions.class(other),
                  },
                  labelText(tagData.className(other), 50),
                  el('span', { class: 'tag-value' }, n.toLocaleString('en')),
                ),
              ),
            ),
          )
        : '',
      table,
    );
  }

  function notesOfClass(one) {
    const note = (text) => [el('p', { class: 'note warning' }, text)];
    if (one.ambiguous)
      return note('Several classes of step 1 have this label: there are no class activations for it alone.');
    if (tagData.activations && one.row === undefined)
      return note('This class has no class activations in step 1’s file.');
    return [];
  }

  /* ---------------------------------------------------------------- what the pointer is over */

  function tip(layerIndex, filter, view) {
    const layer = layers[layerIndex];
    const tags = unique(tagData.classesOf(layer, filter, view.selector.index));
    const total = tagData.counts(layer, view.selector.index)[filter];
    const valued = tags.map((index) => [index, tagData.activation(layer, filter, index)]);
    valued.sort((a, b) => (b[1] || 0) - (a[1] || 0) || a[0] - b[0]);
    const rows = valued
      .slice(0, 8)
      .map(([index, value]) =>
        el(
          'li',
          { class: index === view.classIndex ? 'chosen' : null },
          labelText(tagData.className(index), 42),
          value === undefined ? null : el('span', { class: 'mono' }, activationText(value)),
        ),
      );
    const values = [];
    if (tagData.hasActivations()) {
      values.push(
        `mean ${activationText(tagData.means(layer)[filter])}`,
        `max ${activationText(tagData.maxima(layer)[filter])}`,
      );
      const own = view.classIndex === null ? undefined : tagData.activation(layer, filter, view.classIndex);
      if (own !== undefined) values.unshift(`chosen class ${activationText(own)}`);
    }
    return [
      el('strong', {}, `${filtags.shorten(layer.name, 40)} · filter ${filter}`),
      el('div', { class: 'muted' }, count(total, 'tag'), tags.length > 8 ? `, the first 8:` : total ? ':' : ''),
      el('ul', {}, ...rows),
      values.length ? el('div', { class: 'muted' }, values.join(' · ')) : '',
    ];
  }

  function say(view) {
    if (view.filter === null || view.layer === null) return '';
    const tags = unique(tagData.classesOf(layers[view.layer], view.filter, view.selector.index));
    const names = tags
      .slice(0, 5)
      .map((index) => tagData.className(index))
      .join(', ');
    const what = `${layers[view.layer].name}, filter ${view.filter}: ${count(tags.length, 'tag')}`;
    return names ? `${what}: ${names}` : what;
  }

  const show = { layers: showLayers, class: showClass };
  return {
    use(handlers) {
      actions = handlers;
    },
    show(tab, view) {
      for (const id of ['layers', 'class', 'filter']) filtags.unplot(document.getElementById(`panel-${id}`));
      return show[tab](view, document.getElementById(`panel-${tab}`));
    },
    /* visualize_filter.js has the third. */
    add(tab, draw) {
      show[tab] = draw;
    },
    actions: () => actions,
    tip,
    say,
    classTitle,
    activationText,
    count,
    labelText,
  };
})();
