/* visualize_filter.js - the details of a filter: its tags, its strongest pictures, its activation for every class. */
'use strict';
(() => {
  const { el } = filtags;
  const { layers, classes } = tagData;
  const MANY_BARS = 30;
  let showsAllBars = false;

  function tagChip(index, chosen, times) {
    const distinction = tagData.distinction(index);
    const value = chosen.value;
    return el(
      'button',
      {
        class: `tag ${chosen.isChosen ? 'chosen' : ''}`,
        type: 'button',
        title: panels.classTitle(index),
        dataset: { class: classes[index].id },
        onclick: () => panels.actions().class(index),
      },
      panels.labelText(classes[index].label, 60),
      distinction ? el('span', { class: 'muted' }, ` ${distinction}`) : null,
      times > 1 ? el('span', { class: 'muted' }, ` ×${times}`) : null,
      value === undefined ? null : el('span', { class: 'tag-value' }, value.toFixed(3)),
    );
  }

  function activationBars(view, element, tagged) {
    const layer = layers[view.layer];
    let rows = classes
      .filter((one) => one.row !== undefined)
      .map((one) => ({ index: one.index, value: tagData.activation(layer, view.filter, one.index) }))
      .sort((a, b) => b.value - a.value || a.index - b.index);
    const isLong = rows.length > MANY_BARS && showsAllBars;
    if (!isLong) rows = rows.slice(0, MANY_BARS);
    const names = rows.map((row) => filtags.plain(tagData.className(row.index)));
    const places = rows.map((_, i) => i + 1);
    element.dataset.bars = rows.length;
    return filtags
      .plot(element, () => {
        const colors = filterMap.theme(),
          [blue] = filtags.colors();
        const bar = {
          type: 'bar',
          customdata: rows.map((row, i) => [
            names[i],
            panels.activationText(row.value, 8),
            tagged.has(row.index) ? 'tagged' : 'not tagged',
            classes[row.index].id,
          ]),
          hovertemplate: '%{customdata[0]}<br>class activation %{customdata[1]}<br>%{customdata[2]}<extra></extra>',
          marker: {
            color: rows.map((row) => (tagged.has(row.index) ? colors.lit : blue)),
            line: { width: rows.map((row) => (view.classIndex === row.index ? 2 : 0)), color: colors.ring },
          },
        };
        const values = rows.map((row) => row.value),
          title = { text: 'class activation' };
        if (isLong) {
          return [
            [{ ...bar, x: places, y: values }],
            {
              height: 300,
              bargap: 0,
              margin: { l: 55, r: 10, t: 10, b: 40 },
              xaxis: { title: { text: 'classes, strongest first' } },
              yaxis: { title, rangemode: 'tozero' },
            },
            { displayModeBar: false },
          ];
        }
        return [
          [{ ...bar, orientation: 'h', y: places, x: values }],
          {
            height: 60 + 19 * rows.length,
            bargap: 0.2,
            dragmode: false,
            margin: { l: 10, r: 15, t: 5, b: 40 },
            xaxis: { title, rangemode: 'tozero', fixedrange: true },
            yaxis: {
              autorange: 'reversed',
              fixedrange: true,
              showgrid: false,
              tickvals: places,
              ticklen: 4,
              ticktext: rows.map((row) =>
                filtags.plain(filtags.shorten(tagData.className(row.index).replace(/\s+/g, ' '), 26)),
              ),
            },
          },
          { displayModeBar: false },
        ];
      })
      .then(
        () =>
          element.on &&
          element.on('plotly_click', (event) =>
            panels.actions().class(tagData.classOfKey.get(event.points[0].customdata[3])),
          ),
      );
  }

  function barsSection(view, tagged) {
    if (!tagData.activations) return [el('p', { class: 'note' }, 'This page was made without class activations.')];
    if (!tagData.hasActivations()) return [el('p', { class: 'muted' }, 'Class activations are being unpacked …')];
    const { rows } = tagData.activations;
    const toggle =
      rows > MANY_BARS
        ? el(
            'div',
            { class: 'segmented small', role: 'group', 'aria-label': 'Classes shown' },
            ...[
              [`strongest ${MANY_BARS}`, false],
              [`all ${rows.toLocaleString('en')}`, true],
            ].map(([title, all]) =>
              el(
                'button',
                {
                  type: 'button',
                  dataset: { bars: all ? 'all' : 'strongest' },
                  'aria-pressed': String(showsAllBars === all),
                  onclick: () => {
                    showsAllBars = all;
                    panels.show('filter', view);
                  },
                },
                title,
              ),
            ),
          )
        : null;
    const chart = el('div', {
      class: 'plot',
      id: 'activation-plot',
      role: 'group',
      'aria-label': 'Class activations of this filter, strongest first',
    });
    const key = el(
      'p',
      { class: 'note keys' },
      el('span', { class: 'swatch lit' }),
      'tagged with ',
      view.selectorText,
      ' ',
      el('span', { class: 'swatch other' }),
      'not tagged',
    );
    return [
      el('div', { class: 'row' }, el('h3', {}, 'Class activations'), el('span', { class: 'space' }), toggle),
      key,
      chart,
    ];
  }

  function showFilter(view, panel) {
    if (view.filter === null || view.layer === null) {
      panel.replaceChildren(
        el(
          'p',
          { class: 'muted' },
          'Choose a filter: a cell of the map, a number in a list, or search for ',
          el('span', { class: 'mono' }, `17@${layers[layers.length - 1].name}`),
          '.',
        ),
      );
      return;
    }
    const layer = layers[view.layer];
    const list = tagData.classesOf(layer, view.filter, view.selector.index);
    const times = new Map();
    for (const index of list) times.set(index, (times.get(index) || 0) + 1);
    const tags = [...times.keys()]
      .map((index) => ({ index, value: tagData.activation(layer, view.filter, index) }))
      .sort(
        (a, b) => (b.value === undefined ? -1 : b.value) - (a.value === undefined ? -1 : a.value) || a.index - b.index,
      );
    const chips = tags.map((tag) =>
      tagChip(tag.index, { isChosen: tag.index === view.classIndex, value: tag.value }, times.get(tag.index)),
    );
    const shown = el('div', { id: 'tags', class: 'tags' }, ...chips.slice(0, 60));
    if (chips.length > 60) {
      const more = el(
        'button',
        {
          type: 'button',
          onclick: () => {
            more.remove();
            shown.append(...chips.slice(60));
          },
        },
        `Show all ${chips.length.toLocaleString('en')}`,
      );
      shown.append(more);
    }
    const bars = barsSection(view, times);
    panel.replaceChildren(
      el(
        'div',
        { class: 'panel-title' },
        el(
          'h2',
          { class: 'wrap', id: 'filter-name' },
          `${layer.name} `,
          el('span', { class: 'muted' }, 'filter '),
          String(view.filter),
        ),
        el(
          'div',
          { class: 'buttons' },
          ...[
            ['←', 'Previous filter', -1],
            ['→', 'Next filter', 1],
          ].map(([key, what, by]) =>
            el(
              'button',
              {
                type: 'button',
                'aria-label': what,
                title: `${what} (${key})`,
                onclick: () => panels.actions().step(by),
              },
              key,
            ),
          ),
        ),
      ),
      el('p', { class: 'muted small' }, `${panels.count(list.length, 'tag')} with ${view.selectorText}`),
      chips.length
        ? shown
        : el(
            'p',
            { id: 'tags', class: 'note' },
            'No class has this filter among its most active ones. A higher value of k or q gives more filters a tag.',
          ),
      ...pictures.section(view),
      ...bars,
    );
    const chart = panel.querySelector('#activation-plot');
    if (chart) activationBars(view, chart, times);
  }

  panels.add('filter', showFilter);
})();
