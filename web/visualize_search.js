/* visualize_search.js - the search field: classes by label, wnid and number, layers and filters by name. */
'use strict';
const finder = (() => {
  const { el } = filtags;
  const { layers, classes } = tagData;
  let actions = null; // {class(c), layer(i), filter(i, f), currentLayer()}
  const plainText = (text) =>
    text
      .toLowerCase()
      .replace(/[\s_\-]+/g, ' ')
      .trim();
  const haystacks = classes.map((one) => plainText(`${one.label} ${one.wnid || ''} ${one.key}`));
  const layerTexts = layers.map((layer) => plainText(layer.name));
  const MOST_RESULTS = 12;

  /* "block5_conv3 17", "17@block5_conv3", "block5_conv3:17" */
  function readFilter(text) {
    const at = text.match(/^\s*(\d+)\s*@\s*(.+?)\s*$/),
      behind = text.match(/^\s*(.+?)(?:\s*[:#]\s*|\s+)(?:filter\s+)?(\d+)\s*$/);
    const name = at ? at[2] : behind ? behind[1] : null;
    return name === null ? null : { name: plainText(name), filter: Number(at ? at[1] : behind[2]) };
  }

  function search(text) {
    const here = actions.currentLayer();
    const wanted = plainText(text);
    if (!wanted) return [];
    const results = [];
    const asFilter = readFilter(text);
    if (asFilter) {
      layers.forEach((layer, i) => {
        if (!layerTexts[i].includes(asFilter.name) || asFilter.filter >= layer.filters) return;
        results.push({
          kind: 'filter',
          rank: layerTexts[i] === asFilter.name ? 0 : 3,
          text: `${layer.name} filter ${asFilter.filter}`,
          data: { layer: layer.name, filter: asFilter.filter },
          act: () => actions.filter(i, asFilter.filter),
        });
      });
    }
    const asNumber = /^\d+$/.test(wanted) ? Number(wanted) : null;
    classes.forEach((one, i) => {
      const isNumber = asNumber !== null && one.number === asNumber;
      const place = haystacks[i].indexOf(wanted);
      if (place < 0 && !isNumber) return;
      const rank =
        isNumber || plainText(one.label) === wanted || one.wnid === wanted
          ? 1
          : place === 0
            ? 2
            : haystacks[i][place - 1] === ' '
              ? 4
              : 6;
      results.push({
        kind: 'class',
        rank,
        text: one.label,
        more: [one.wnid, one.number === undefined ? 'class' : `class ${one.number}`].filter(Boolean).join(' · '),
        data: { class: one.id },
        act: () => actions.class(i),
      });
    });
    layers.forEach((layer, i) => {
      if (!layerTexts[i].includes(wanted)) return;
      results.push({
        kind: 'layer',
        rank: layerTexts[i] === wanted ? 0 : 5,
        text: layer.name,
        more: `layer of ${layer.filters.toLocaleString('en')} filters`,
        data: { layer: layer.name },
        act: () => actions.layer(i),
      });
    });
    if (asNumber !== null && here !== null && asNumber < layers[here].filters) {
      results.push({
        kind: 'filter',
        rank: 2,
        text: `${layers[here].name} filter ${asNumber}`,
        data: { layer: layers[here].name, filter: asNumber },
        act: () => actions.filter(here, asNumber),
      });
    }
    return results.sort((a, b) => a.rank - b.rank).slice(0, MOST_RESULTS);
  }

  function create(input, list, handlers) {
    actions = handlers;
    let results = [],
      active = 0;
    function close() {
      list.hidden = true;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    }
    function take(result) {
      input.value = '';
      close();
      input.blur();
      result.act();
    }
    function mark(place) {
      active = place;
      [...list.children].forEach((item, i) => item.setAttribute('aria-selected', String(i === active)));
      if (results.length) {
        input.setAttribute('aria-activedescendant', `result-${active}`);
        list.children[active].scrollIntoView({ block: 'nearest' });
      }
    }
    function open() {
      results = search(input.value);
      if (!input.value.trim()) {
        close();
        return;
      }
      list.replaceChildren(
        ...results.map((result, i) =>
          el(
            'li',
            {
              role: 'option',
              id: `result-${i}`,
              dataset: result.data,
              onmousedown: (event) => event.preventDefault(),
              onclick: () => take(result),
            },
            el('bdi', { class: 'wrap' }, filtags.shorten(result.text, 70)),
            el('span', { class: 'muted small' }, result.more || result.kind),
          ),
        ),
      );
      if (!results.length)
        list.replaceChildren(
          el('li', { class: 'muted', role: 'option', 'aria-disabled': 'true' }, 'Nothing is called so.'),
        );
      list.hidden = false;
      input.setAttribute('aria-expanded', 'true');
      mark(0);
    }
    input.addEventListener('input', open);
    input.addEventListener('focus', open);
    input.addEventListener('blur', close);
    input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        input.value = '';
        close();
        input.blur();
        event.preventDefault();
      }
      if (event.key === 'Enter' && results.length && !list.hidden) {
        take(results[active]);
        event.preventDefault();
      }
      if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && results.length) {
        mark((active + (event.key === 'ArrowDown' ? 1 : results.length - 1)) % results.length);
        event.preventDefault();
      }
    });
  }

  return { create };
})();
