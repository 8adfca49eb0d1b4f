/* explain.js - pictures explained in tags. What the data are: src/report/explain_page.h. */
'use strict';
(async () => {
  const data = filtags.json('explain');
  const { el, state } = filtags;
  const at = (id) => document.getElementById(id);
  const SCOPES = ['all layers', 'the last layer'];
  const N_BARS = 5, N_CARD_TAGS = 3, CARD_PIXELS = 168;
  const OPACITY = 70;

  /* What is chosen. label: of the tags; null: the tags' top one. filter: index into the picture's filters. */
  const chosen = { picture: 0, value: 0, scope: 0, label: null, filter: null, scale: 'own', opacity: OPACITY };
  const picture = () => data.pictures[chosen.picture];
  const value = () => picture().values[chosen.value];
  const textOf = (label) => data.labels[label][1];
  const keyOf = (label) => data.labels[label][0];
  const valueText = ([rule, number]) => (rule === 'k' ? `k = ${number}` : `q = ${number} %`);
  const percent = (share) => `${(100 * share).toFixed(share > 0.0005 && share < 0.1 ? 2 : 1)} %`;
  const plural = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

  /* ---------------------------------------------------------------- pictures and heat maps */

  const images = data.pictures.map(() => null); // ImageBitmap
  const maps = data.pictures.map(() => null);   // [{h, w, values, low, high}], by filter

  async function loadImage(i) {
    if (!images[i]) {
      const jpeg = new Blob([await filtags.bytes(`image-${i}`)], { type: 'image/jpeg' });
      images[i] = await createImageBitmap(jpeg);
    }
    return images[i];
  }

  async function loadMaps(i) {
    if (maps[i]) return;
    const bytes = await filtags.bytes(`maps-${i}`);
    let first = 0;
    maps[i] = data.pictures[i].filters.map(([, , , h, w]) => {
      const values = bytes.subarray(first, first += h * w);
      const low = values.reduce((a, b) => Math.min(a, b), 255), high = values.reduce((a, b) => Math.max(a, b), 0);
      return { h, w, values, low, high };
    });
  }

  /* 256 colours of the scale. */
  const ramp = (() => {
    const parse = (color) => [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
    const stops = filtags.colorscale.map(([place, color]) => [place, parse(color)]);
    return Array.from({ length: 256 }, (_, i) => {
      const x = i / 255;
      let s = 1;
      while (s < stops.length - 1 && stops[s][0] < x) s++;
      const [x0, from] = stops[s - 1], [x1, to] = stops[s];
      return from.map((c, k) => Math.round(c + (to[k] - c) * (x - x0) / (x1 - x0)));
    });
  })();

  /* A map as a small canvas: strong places are opaque, weak ones let the picture through. */
  function heatCanvas(map) {
    const canvas = el('canvas', { width: map.w, height: map.h });
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(map.w, map.h);
    const low = chosen.scale === 'own' ? map.low : 0;
    const size = (chosen.scale === 'own' ? map.high : 255) - low || 1;
    map.values.forEach((byte, i) => {
      const x = Math.round(255 * (byte - low) / size);
      pixels.data.set(ramp[x], 4 * i);
      pixels.data[4 * i + 3] = 95 + Math.round(160 * x / 255);
    });
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  /* Draw the picture, and a map over it unless that is undefined, into the middle of a canvas of so many CSS pixels. */
  function paint(canvas, image, map, width, height) {
    const density = Math.min(devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    const context = canvas.getContext('2d');
    const scale = Math.min(canvas.width / image.width, canvas.height / image.height);
    const box = [(canvas.width - image.width * scale) / 2, (canvas.height - image.height * scale) / 2,
      image.width * scale, image.height * scale];
    context.imageSmoothingEnabled = image.width >= 64 || image.height >= 64; // of tiny pictures, show the pixels
    context.imageSmoothingQuality = 'high';
    context.drawImage(image, ...box);
    if (!map || !chosen.opacity) return;
    context.globalAlpha = chosen.opacity / 100;
    context.imageSmoothingEnabled = true;
    context.drawImage(heatCanvas(map), ...box);
    context.globalAlpha = 1;
  }

  const mapOf = (filter) => (filter === null || !maps[chosen.picture] ? undefined : maps[chosen.picture][filter]);

  function drawLarge() {
    const image = images[chosen.picture], canvas = at('large');
    if (!image) return;
    const room = canvas.parentElement.clientWidth;
    const most = Math.max(260, Math.min(560, innerHeight - 330));
    const scale = Math.min(room / image.width, most / image.height);
    const width = Math.round(image.width * scale), height = Math.round(image.height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    paint(canvas, image, mapOf(chosen.filter), width, height);
    const name = chosen.filter === null ? 'the picture alone' : `with the heat map of ${filterName(chosen.filter)}`;
    canvas.setAttribute('aria-label', `${picture().file}, ${name}`);
  }

  function drawCards() {
    const image = images[chosen.picture];
    if (!image) return;
    const height = CARD_PIXELS * Math.max(0.6, Math.min(1.4, image.height / image.width));
    for (const canvas of at('cards').querySelectorAll('canvas'))
      paint(canvas, image, mapOf(Number(canvas.dataset.filter)), CARD_PIXELS, height);
  }

  /* ---------------------------------------------------------------- predictions */

  const places = (i, v, scope) => data.pictures[i].values[v].places[scope];
  const topLabel = () => (value().rankings[chosen.scope].length ? value().rankings[chosen.scope][0][0] : null);
  const currentLabel = () => (chosen.label === null ? topLabel() : chosen.label);

  /* A label within other text: whatever direction it has, that leaves what is beside it alone. */
  const isolated = (text, most) => el('bdi', {}, filtags.shorten(text, most));

  function verdict(i, v, scope) {
    const agrees = places(i, v, scope) === 1;
    return el('span', { class: `verdict ${agrees ? 'agrees' : 'differs'}` }, agrees ? '✓ agree' : '✗ differ');
  }

  function barRow(text, title, amount, share, isSame, onclick) {
    const name = onclick ? el('button', { type: 'button', class: 'link words', onclick }, text)
      : el('span', { class: 'words' }, text);
    const fill = el('div', { class: 'fill' });
    fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
    return el('div', { class: `bar-row${isSame ? ' same' : ''}` },
      el('div', { class: 'text' }, el('span', { title }, name), el('span', {}, amount)),
      el('div', { class: 'track', 'aria-hidden': 'true' }, fill));
  }

  function drawPredictions() {
    const top = picture().top, ranking = value().rankings[chosen.scope];
    const own = top[0][3], place = value().places[chosen.scope];
    at('network-bars').replaceChildren(...top.map(([key, text, probability, label]) =>
      barRow(text, key, percent(probability), probability, label !== null && label === topLabel(),
        label === null ? null : () => choose({ label: chosenLabels().includes(label) ? label : null }))));
    at('tags-title').textContent = `The tags’, ${SCOPES[chosen.scope]}`;
    at('tag-bars').className = 'tag-bars';
    const total = value().n_tags[chosen.scope], most = ranking.length ? ranking[0][1] : 1;
    at('tag-bars').replaceChildren(...ranking.slice(0, N_BARS).map(([label, count]) =>
      barRow(textOf(label), keyOf(label), plural(count, 'tag'), count / most, label === own,
        chosenLabels().includes(label) ? () => choose({ label }) : null)));
    if (!ranking.length) at('tag-bars').append(el('p', { class: 'note' }, 'The active filters have no tags.'));
    at('verdict').replaceChildren(verdict(chosen.picture, chosen.value, chosen.scope));
    const nActive = value().n_active[chosen.scope], nLabels = value().n_ranked[chosen.scope];
    const text = `${plural(nActive, 'active filter')} ${nActive === 1 ? 'has' : 'have'} ${plural(total, 'tag')}. `;
    const isTied = ranking.some(([label, count]) => label === own && count === most);
    const end = place === 1 ? '.' : !place ? ' is not among the tags.'
      : ` is in place ${place} of the ${plural(nLabels, 'label')} of the tags`
        + (isTied ? ', with as many tags as the first.' : '.');
    const start = place === 1 ? 'Both say ' : 'The network’s ';
    at('verdict-text').replaceChildren(text, start, isolated(top[0][1], 60), end);
  }

  /* ---------------------------------------------------------------- filters */

  const layerName = (layer) => data.layers[layer][0];
  const filterName = (filter) => {
    const [layer, number] = picture().filters[filter];
    return `${layerName(layer)}, filter ${number}`;
  };
  const chosenLabels = () => value().choices.map(([label]) => label);

  /* Filters to be shown: those with the label, of the scope's layers. */
  function shownCarriers() {
    const bit = chosenLabels().indexOf(currentLabel());
    return value().carriers.filter(([filter, , choices]) => bit >= 0 && choices >> bit & 1 &&
      (!chosen.scope || picture().filters[filter][0] === data.layers.length - 1));
  }

  function tagList(carrier, most) {
    const [, nTags, , tags] = carrier, label = currentLabel();
    const order = [...tags.filter((tag) => tag === label), ...tags.filter((tag) => tag !== label)];
    if (!tags.includes(label)) order.unshift(label); // behind those that the page has
    const shown = order.slice(0, most).map((tag) =>
      el('span', { class: `tag${tag === label ? ' match' : ''}`, title: keyOf(tag) }, textOf(tag)));
    const nMore = nTags - shown.length;
    if (nMore > 0) shown.push(el('span', { class: 'muted small' }, ` +${nMore.toLocaleString('en')}`));
    return shown;
  }

  function card(carrier) {
    const [filter] = carrier, [layer, number, activation] = picture().filters[filter];
    const head = (left, right) => el('span', { class: 'head' }, left, el('span', {}, right));
    const attributes = { type: 'button', class: 'filter', 'aria-pressed': String(filter === chosen.filter),
      'aria-label': `${filterName(filter)}, activation ${activation.toFixed(4)}`, dataset: { filter } };
    return el('button', { ...attributes, onclick: () => choose({ filter }) },
      el('canvas', { dataset: { filter }, 'aria-hidden': 'true' }),
      head(el('span', { class: 'name', title: layerName(layer) }, layerName(layer)), `#${number}`),
      head(el('span', { class: 'muted small' }, 'activation'), activation.toFixed(4)),
      el('span', {}, ...tagList(carrier, N_CARD_TAGS)));
  }

  /* Labels that can be chosen: those that active filters of the scope's layers have. */
  const choices = () => value().choices.filter((choice) => choice[1 + chosen.scope] > 0);

  function drawChoices() {
    const current = currentLabel(), own = picture().top[0][3], top = topLabel();
    at('choices').replaceChildren(...choices().map(([label, ...counts]) => {
      const roles = [label === top && 'the tags’ first label', label === own && 'the network’s'].filter(Boolean);
      const attributes = { type: 'button', 'aria-pressed': String(label === current),
        title: [keyOf(label), roles.join(', ')].filter(Boolean).join(': ') };
      return el('button', { ...attributes, onclick: () => choose({ label }) },
        label === own ? '◆ ' : '', isolated(textOf(label), 40), ' ',
        el('span', { class: 'count' }, counts[chosen.scope].toLocaleString('en')));
    }));
  }

  function drawFilters() {
    const carriers = shownCarriers(), label = currentLabel();
    const choice = value().choices.find(([one]) => one === label);
    const n = choice ? choice[1 + chosen.scope] : 0;
    const name = () => isolated(textOf(label), 60);
    let note = ['The active filters have no tags.'];
    if (label !== null && !n) note = [`No active filter of ${SCOPES[chosen.scope]} has the tag `, name(), '.'];
    else if (label !== null) {
      const nLeft = n - carriers.length;
      note = [`${plural(n, 'active filter')} of ${SCOPES[chosen.scope]} ${n === 1 ? 'has' : 'have'} the tag `, name(),
        '. Filters with the fewest tags come first, since they are the most specific; among equals, the most active.',
        nLeft > 0 ? ` Shown are ${carriers.length}; ${nLeft} are left out, to keep the page small.` : ''];
    }
    at('filters-title').replaceChildren(...(label === null ? ['Filters'] : ['Filters that say ', name()]));
    at('filters-note').replaceChildren(...note);
    at('cards').replaceChildren(...carriers.map(card));
    drawCards();
  }

  function drawChosen() {
    const carrier = value().carriers.find(([filter]) => filter === chosen.filter);
    const name = chosen.filter === null ? 'No filter chosen' : filterName(chosen.filter);
    const title = el('h2', { id: 'chosen-title' }, name);
    if (!carrier) {
      at('chosen').replaceChildren(el('header', {}, title),
        el('p', { class: 'note' }, 'Choose a filter below to see where in the picture it responds.'));
      return;
    }
    const [layer, number, activation, h, w] = picture().filters[chosen.filter];
    const map = mapOf(chosen.filter);
    const range = map ? `${(map.low / 255).toFixed(2)} to ${(map.high / 255).toFixed(2)} of the layer’s range` : '';
    const row = (name, ...content) => [el('dt', {}, name), el('dd', {}, ...content)];
    const nFilters = data.layers[layer][1].toLocaleString('en');
    const leave = el('button', { type: 'button', onclick: () => choose({ filter: null }) }, 'Picture alone');
    at('chosen').replaceChildren(
      el('header', {}, title, el('div', { class: 'space' }), leave),
      el('dl', { class: 'chosen' },
        ...row('Layer', `${layerName(layer)}, ${layer + 1} of ${data.layers.length}; filter ${number} of ${nFilters}`),
        ...row('Activation', `${activation.toFixed(4)} (mean over the picture)`),
        ...row('Feature map', `${h} × ${w}, ${range}`),
        ...row(plural(carrier[1], 'tag'), ...tagList(carrier, 24))));
  }

  /* ---------------------------------------------------------------- choosing */

  const strip = [];

  function drawStrip() {
    strip.forEach(({ button, mark }, i) => {
      button.setAttribute('aria-current', String(i === chosen.picture));
      mark.replaceChildren(verdict(i, chosen.value, chosen.scope));
    });
  }

  function makeStrip() {
    if (data.pictures.length < 2) return;
    data.pictures.forEach(({ file }, i) => {
      const canvas = el('canvas', { 'aria-hidden': 'true' }), mark = el('span');
      const button = el('button', { type: 'button', title: file, onclick: () => chooseAnew({ picture: i }) }, canvas,
        el('span', { class: 'name' }, file.split('/').pop() || file), mark);
      strip.push({ button, mark });
      at('strip').append(button);
      const fill = () => loadImage(i).then((image) => paint(canvas, image, undefined, 100, 67));
      new IntersectionObserver((entries, observer) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        fill();
      }).observe(button);
    });
  }

  let nWaiting = 0; // choices that aren't on screen yet: their pictures are being unpacked

  /* Change what is chosen. filter undefined: the first of the list. */
  async function choose(changes) {
    nWaiting++;
    delete document.body.dataset.ready;
    Object.assign(chosen, changes);
    if (chosen.label !== null && !chosenLabels().includes(chosen.label)) chosen.label = null;
    const carriers = shownCarriers();
    const keeps = chosen.filter === null || carriers.some(([filter]) => filter === chosen.filter);
    if (!keeps || chosen.filter === undefined) chosen.filter = carriers.length ? carriers[0][0] : null;
    save();
    await Promise.all([loadImage(chosen.picture), loadMaps(chosen.picture)]);
    draw();
    if (--nWaiting === 0) document.body.dataset.ready = String(chosen.picture);
    const place = { block: 'nearest', inline: 'nearest' };
    if ('picture' in changes && strip.length) strip[chosen.picture].button.scrollIntoView(place);
  }

  /* The same, back to the tags' top label and its first filter. */
  const chooseAnew = (changes) => choose({ label: null, filter: undefined, ...changes });

  function draw() {
    const start = picture().file.lastIndexOf('/') + 1;
    const folder = el('span', { class: 'folder' }, picture().file.slice(0, start));
    at('file').replaceChildren(folder, picture().file.slice(start));
    at('value').value = String(chosen.value);
    for (const button of document.querySelectorAll('[data-scope]'))
      button.setAttribute('aria-pressed', String(Number(button.dataset.scope) === chosen.scope));
    for (const button of document.querySelectorAll('[data-scale]'))
      button.setAttribute('aria-pressed', String(button.dataset.scale === chosen.scale));
    at('opacity').value = String(chosen.opacity);
    drawStrip();
    drawPredictions();
    drawChoices();
    drawFilters();
    drawChosen();
    drawLarge();
  }

  /* The address keeps names rather than places, so that a link means the same. */
  function save() {
    const filter = chosen.filter === null ? 'none' : picture().filters[chosen.filter].slice(0, 2).join(':');
    state.set({ picture: chosen.picture || null, value: chosen.value ? data.values[chosen.value].join('') : null,
      layers: chosen.scope ? 'last' : null, label: chosen.label === null ? null : keyOf(chosen.label), filter,
      scale: chosen.scale === 'own' ? null : chosen.scale });
  }

  function restore() {
    const index = (list, found) => Math.max(0, list.findIndex(found));
    const number = Number(state.get('picture'));
    const changes = {
      picture: Number.isInteger(number) && data.pictures[number] ? number : 0,
      value: index(data.values, (one) => one.join('') === state.get('value')),
      scope: state.get('layers') === 'last' ? 1 : 0, scale: state.get('scale') === 'layer' ? 'layer' : 'own',
    };
    const key = state.get('label'), filter = state.get('filter');
    const labels = data.pictures[changes.picture].values[changes.value].choices.map(([one]) => one);
    const label = labels.find((one) => keyOf(one) === key);
    const place = data.pictures[changes.picture].filters.findIndex((one) => one.slice(0, 2).join(':') === filter);
    choose({ ...changes, label: key === null || label === undefined ? null : label,
      filter: filter === 'none' ? null : place >= 0 ? place : undefined });
  }

  const turn = (n, place, by) => (place + by + n) % n;
  const stepPicture = (by) => chooseAnew({ picture: turn(data.pictures.length, chosen.picture, by) });
  function stepFilter(by, event) {
    if (event.target === at('opacity')) return false; // the slider's own keys
    const filters = shownCarriers().map(([filter]) => filter);
    if (!filters.length) return true;
    const place = filters.includes(chosen.filter) ? filters.indexOf(chosen.filter) : by > 0 ? -1 : 0;
    choose({ filter: filters[turn(filters.length, place, by)] }).then(() => {
      const element = at('cards').querySelector('[aria-pressed="true"]');
      if (element) element.scrollIntoView({ block: 'nearest' });
    });
    return true;
  }
  function stepLabel(by) {
    const labels = choices().map(([label]) => label);
    if (labels.length) chooseAnew({ label: labels[turn(labels.length, labels.indexOf(currentLabel()), by)] });
  }

  /* What the map says under the pointer, in the layer's scale. */
  at('large').addEventListener('pointermove', (event) => {
    const map = mapOf(chosen.filter), box = at('large').getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    if (!map || x < 0 || y < 0 || x >= 1 || y >= 1) return;
    const byte = map.values[Math.floor(y * map.h) * map.w + Math.floor(x * map.w)];
    at('readout').textContent = `here ${(byte / 255).toFixed(2)} of the layer’s range`;
  });
  at('large').addEventListener('pointerleave', () => { at('readout').textContent = ''; });

  for (const [i, one] of data.values.entries()) at('value').append(el('option', { value: i }, valueText(one)));
  at('value').addEventListener('change', () => chooseAnew({ value: Number(at('value').value) }));
  for (const button of document.querySelectorAll('[data-scope]'))
    button.addEventListener('click', () => chooseAnew({ scope: Number(button.dataset.scope) }));
  for (const button of document.querySelectorAll('[data-scale]'))
    button.addEventListener('click', () => choose({ scale: button.dataset.scale }));
  at('opacity').addEventListener('input', () => {
    chosen.opacity = Number(at('opacity').value);
    drawLarge();
    drawCards();
  });
  addEventListener('resize', drawLarge);

  at('title').textContent = `${data.network}, explained in tags`;
  at('footer').textContent = `Tags: ${data.tags}. k: the k most active filters of each layer are active; q: the q `
    + 'percent most active; 0: those above the layer’s mean. A heat map is a filter’s feature map over the picture, '
    + 'which the network sees stretched to the size of its input. Its values are kept in 256 steps from the least to '
    + `the largest of the layer, and maps of more than ${data.map_side} pixels a side are averaged down to that. At `
    + `most ${data.most_carriers} filters of a picture are kept for each k and q. In bold: the label that the other `
    + 'side puts first; ◆: the network’s.';
  filtags.keys([
    ['ArrowRight j', 'next filter', (event) => stepFilter(1, event)],
    ['ArrowLeft k', 'filter before', (event) => stepFilter(-1, event)],
    ['n', 'next picture', () => stepPicture(1)], ['p', 'picture before', () => stepPicture(-1)],
    ['l', 'next label', () => stepLabel(1)], ['L', 'label before', () => stepLabel(-1)],
    ['v', 'next value of k or q', () => chooseAnew({ value: turn(data.values.length, chosen.value, 1) })],
    ['a', 'all layers or the last one', () => chooseAnew({ scope: 1 - chosen.scope })],
    ['s', 'own or layer’s scale', () => choose({ scale: chosen.scale === 'own' ? 'layer' : 'own' })],
    ['h', 'heat maps on or off', () => choose({ opacity: chosen.opacity ? 0 : OPACITY })],
  ]);
  state.onchange = restore;
  makeStrip();
  restore();
})();
