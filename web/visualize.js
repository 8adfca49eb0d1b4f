/* visualize.js - the page: what is chosen, the controls, search, keyboard, and the address that keeps it all. */
'use strict';
(() => {
  const { el } = filtags;
  const { layers, classes, rules, description } = tagData;
  const byId = (id) => document.getElementById(id);
  const TABS = ['layers', 'class', 'filter'];

  /* What is chosen. layer, filter, classIndex, bin: null for none. */
  const chosen = {
    rule: rules.k.length ? 'k' : 'q',
    place: 0,
    layer: null,
    filter: null,
    classIndex: null,
    color: 'tags',
    scale: 'layer',
    bin: null,
    tab: 'layers',
  };

  const selector = () => rules[chosen.rule][chosen.place];
  const selectorText = () => (chosen.rule === 'k' ? `k = ${selector().value}` : `q = ${selector().value} %`);

  function ruleText() {
    const { rule, value } = selector();
    if (value <= 0 || (rule === 'q' && value > 100))
      return 'a class tags its filters above the layer’s mean activation';
    return rule === 'k'
      ? `a class tags its ${value === 1 ? 'most active filter' : `${value} most active filters`} of every layer`
      : `a class tags its ${value} % most active filters of every layer`;
  }

  /* A middle value to begin with: k = 5 where there is one. */
  function defaultPlace(rule) {
    const wanted = rules[rule].findIndex((one) => one.value === 5);
    return wanted >= 0 ? wanted : Math.min(1, rules[rule].length - 1);
  }

  /* ---------------------------------------------------------------- the address */

  function layerOf(text) {
    if (text === null) return null;
    const index = layers.findIndex((layer) => layer.name === text);
    return index >= 0 ? index : null;
  }

  function placeOf(rule, text) {
    return text === null ? -1 : rules[rule].findIndex((one) => one.value === Number(text));
  }

  function readAddress() {
    clearTimeout(pendingWrite);
    const { state } = filtags;
    chosen.layer = layerOf(state.get('layer'));
    const filter = state.get('filter');
    const isFilter =
      chosen.layer !== null && filter !== null && /^\d+$/.test(filter) && Number(filter) < layers[chosen.layer].filters;
    chosen.filter = isFilter ? Number(filter) : null;
    const classIndex = tagData.classOfKey.get(state.get('class'));
    chosen.classIndex = classIndex === undefined ? null : classIndex;
    for (const rule of ['k', 'q']) {
      const place = placeOf(rule, state.get(rule));
      if (place >= 0) Object.assign(chosen, { rule, place });
    }
    const tab = state.get('view');
    chosen.tab = TABS.includes(tab)
      ? tab
      : chosen.filter !== null
        ? 'filter'
        : chosen.classIndex !== null
          ? 'class'
          : 'layers';
  }

  /* Browsers take some twenty changes of the address a second; a key held down makes more. */
  const LEAST_INTERVAL_MS = 60;
  let lastWrite = -LEAST_INTERVAL_MS,
    pendingWrite = 0;
  function writeAddress(isStep) {
    clearTimeout(pendingWrite);
    const wait = lastWrite + LEAST_INTERVAL_MS - performance.now();
    if (wait > 0) {
      pendingWrite = setTimeout(() => writeAddress(isStep), wait);
      return;
    }
    lastWrite = performance.now();
    const standard = chosen.filter !== null ? 'filter' : chosen.classIndex !== null ? 'class' : 'layers';
    filtags.state.set(
      {
        layer: chosen.layer === null ? null : layers[chosen.layer].name,
        filter: chosen.filter,
        class: chosen.classIndex === null ? null : classes[chosen.classIndex].id,
        k: chosen.rule === 'k' ? selector().value : null,
        q: chosen.rule === 'q' ? selector().value : null,
        view: chosen.tab === standard ? null : chosen.tab,
      },
      isStep,
    );
  }

  /* ---------------------------------------------------------------- on screen */

  const view = () => ({ ...chosen, selector: selector(), selectorText: selectorText() });

  function showControls() {
    for (const rule of ['k', 'q']) {
      byId(`rule-${rule}`).setAttribute('aria-pressed', String(chosen.rule === rule));
      byId(`rule-${rule}`).disabled = !rules[rule].length;
    }
    const slider = byId('selector');
    slider.max = rules[chosen.rule].length - 1;
    slider.value = chosen.place;
    slider.disabled = rules[chosen.rule].length < 2;
    slider.setAttribute('aria-valuetext', selectorText());
    byId('selector-value').textContent = selectorText();
    byId('rule-text').textContent = byId('rule-text').title = ruleText();
    const chip = byId('class-chip');
    chip.hidden = chosen.classIndex === null;
    if (!chip.hidden) {
      chip.replaceChildren(
        el('span', { class: 'swatch lit' }),
        el(
          'button',
          {
            class: 'link',
            type: 'button',
            title: panels.classTitle(chosen.classIndex),
            onclick: () => choose({ tab: 'class' }),
          },
          filtags.shorten(tagData.className(chosen.classIndex), 30),
        ),
        el(
          'button',
          {
            class: 'link close',
            type: 'button',
            'aria-label': 'Choose no class',
            onclick: () => choose({ classIndex: null }),
          },
          '×',
        ),
      );
    }
    const isReady = tagData.hasActivations();
    const options = [
      ['tags', 'number of tags'],
      ['mean', 'activation, mean of classes'],
      ['max', 'activation, strongest class'],
      ['class', 'activation of the class'],
    ];
    byId('color').replaceChildren(
      ...options
        .filter(([value]) => value === 'tags' || tagData.activations)
        .map(([value, title]) =>
          el(
            'option',
            {
              value,
              selected: value === chosen.color,
              disabled: (value !== 'tags' && !isReady) || (value === 'class' && !hasValues()),
            },
            title,
          ),
        ),
    );
    byId('scale-field').hidden = chosen.color === 'tags';
    byId('scale').value = chosen.scale;
  }

  const hasValues = () => chosen.classIndex !== null && tagData.hasRow(chosen.classIndex);

  const key = (swatch, text) =>
    el('span', { class: 'key small' }, el('span', { class: `swatch ${swatch}` }), text);

  function showLegend(range) {
    const legend = byId('legend'),
      colors = filterMap.theme();
    if (chosen.color !== 'tags') {
      const steps = Array.from({ length: 24 }, (_, i) => filterMap.shade(i / 23)).join(',');
      const isNumber = chosen.scale === 'all' && range;
      const text = (value) => el('span', { class: isNumber ? 'mono small' : 'muted small' }, value);
      const [least, greatest] = isNumber
        ? range.map((value) => panels.activationText(value))
        : ['layer’s least', 'greatest'];
      const ramp = el('span', { class: 'ramp' });
      ramp.style.background = `linear-gradient(90deg, ${steps})`;
      legend.replaceChildren(
        text(least),
        ramp,
        text(greatest),
        ...(chosen.classIndex === null ? [] : [key('ring', 'tagged')]),
      );
      return;
    }
    let most = 0;
    const sizes = filterMap.BINS.map(() => 0);
    for (const layer of layers) {
      for (const n of tagData.counts(layer, selector().index)) {
        sizes[filterMap.binOf(n)]++;
        if (n > most) most = n;
      }
    }
    const last = filterMap.binOf(most);
    const buttons = filterMap.BINS.slice(0, last + 1).map((_, bin) => {
      const swatch = el('span', { class: 'swatch' });
      swatch.style.background = colors.bins[bin];
      const name = filterMap.binName(bin, most);
      return el(
        'button',
        {
          type: 'button',
          class: 'bin',
          'aria-pressed': String(chosen.bin === bin),
          dataset: { bin },
          title: `${sizes[bin].toLocaleString('en')} filters with ${name} tags. Click to show them alone.`,
          disabled: !sizes[bin],
          onclick: () => choose({ bin: chosen.bin === bin ? null : bin }),
        },
        swatch,
        name,
      );
    });
    legend.replaceChildren(el('span', { class: 'muted small' }, 'tags'), ...buttons);
    if (chosen.classIndex !== null) legend.append(key('lit', 'the class’s'));
  }

  function showMap() {
    const range =
      chosen.color !== 'tags' && chosen.scale === 'all'
        ? (filterMap.show({ ...mapView(), range: null }), filterMap.fullRange())
        : null;
    filterMap.show({ ...mapView(), range });
    showLegend(range);
  }

  const mapView = () => ({ ...chosen, selector: selector().index, bin: chosen.color === 'tags' ? chosen.bin : null });

  function showPanel() {
    for (const tab of TABS) {
      const isChosen = chosen.tab === tab;
      byId(`tab-${tab}`).setAttribute('aria-selected', String(isChosen));
      byId(`tab-${tab}`).tabIndex = isChosen ? 0 : -1;
      byId(`panel-${tab}`).hidden = !isChosen;
    }
    panels.show(chosen.tab, view());
  }

  let isQueued = false;
  function show() {
    if (isQueued) return;
    isQueued = true;
    requestAnimationFrame(() => {
      isQueued = false;
      showControls();
      showMap();
      showPanel();
      byId('announce').textContent = panels.say(view());
    });
  }

  /* Change what is chosen. isStep: the browser's "back" undoes it. */
  function choose(changes, isStep = true) {
    Object.assign(chosen, changes);
    if (chosen.color === 'class' && !hasValues()) chosen.color = 'tags';
    if (
      changes.classIndex !== undefined &&
      changes.tab === undefined &&
      chosen.classIndex === null &&
      chosen.tab === 'filter' &&
      chosen.filter === null
    )
      chosen.tab = 'class';
    writeAddress(isStep);
    show();
  }

  function openSheet(isOpen) {
    byId('panel').classList.toggle('open', isOpen);
    byId('sheet').setAttribute('aria-expanded', String(isOpen));
    byId('sheet').textContent = isOpen ? 'Close' : 'Open';
  }

  const pickClass = (classIndex) => {
    choose({ classIndex, tab: 'class' });
    openSheet(true);
  };
  /* Steps from filter to filter in quick succession are one step back for the browser. */
  let lastPick = -Infinity;
  function pickFilter(layer, filter) {
    const isStep = performance.now() - lastPick > 800;
    lastPick = performance.now();
    choose({ layer, filter, tab: 'filter' }, isStep);
    openSheet(true);
    filterMap.scrollTo(layer, filter);
  }
  function pickLayer(layer) {
    choose({ layer, filter: chosen.layer === layer ? chosen.filter : null, tab: 'layers' });
    filterMap.scrollTo(layer, null);
  }

  /* ---------------------------------------------------------------- moving about */

  /* The next or previous filter; at a layer's end the neighbour's. */
  function stepFilter(direction) {
    if (chosen.layer === null) {
      pickFilter(0, 0);
      return;
    }
    if (chosen.filter === null) {
      pickFilter(chosen.layer, 0);
      return;
    }
    let { layer, filter } = chosen;
    filter += direction;
    if (filter < 0) {
      layer = (layer + layers.length - 1) % layers.length;
      filter = layers[layer].filters - 1;
    } else if (filter >= layers[layer].filters) {
      layer = (layer + 1) % layers.length;
      filter = 0;
    }
    pickFilter(layer, filter);
  }

  function stepLayer(direction) {
    const layer = chosen.layer === null ? 0 : Math.max(0, Math.min(layers.length - 1, chosen.layer + direction));
    pickFilter(layer, Math.min(chosen.filter || 0, layers[layer].filters - 1));
  }

  /* The next filter, in the order of the layers, that the chosen class (or any class) tags. */
  function stepTagged(direction) {
    const places = [];
    layers.forEach((layer, i) => {
      const filters =
        chosen.classIndex === null
          ? [...tagData.counts(layer, selector().index)].flatMap((n, filter) => (n ? [filter] : []))
          : [...new Set(tagData.filtersOf(layer, chosen.classIndex, selector().index))].sort((a, b) => a - b);
      for (const filter of filters) places.push([i, filter]);
    });
    if (!places.length) return;
    const before = places.filter(
      ([layer, filter]) =>
        chosen.layer !== null && (layer < chosen.layer || (layer === chosen.layer && filter < (chosen.filter ?? 0))),
    ).length;
    const isOnOne = places.some(([layer, filter]) => layer === chosen.layer && filter === chosen.filter);
    const next = direction > 0 ? before + (isOnOne ? 1 : 0) : before - 1;
    pickFilter(...places[(next + places.length) % places.length]);
  }

  function stepSelector(direction) {
    const place = Math.max(0, Math.min(rules[chosen.rule].length - 1, chosen.place + direction));
    if (place !== chosen.place) choose({ place, bin: null }, false);
  }

  function useRule(rule) {
    if (!rules[rule].length || chosen.rule === rule) return;
    const same = rules[rule].findIndex((one) => one.value === selector().value);
    choose({ rule, place: same >= 0 ? same : defaultPlace(rule), bin: null }, false);
  }

  /* ---------------------------------------------------------------- setting up */

  function showTip(layer, filter, event) {
    const tip = byId('tip');
    tip.hidden = layer === null;
    if (tip.hidden) return;
    tip.replaceChildren(...panels.tip(layer, filter, view()));
    const right = event.clientX + 18 + tip.offsetWidth > innerWidth;
    tip.style.left = `${Math.max(4, right ? event.clientX - tip.offsetWidth - 14 : event.clientX + 18)}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
  }

  function setUpKeys() {
    /* Arrows belong to the control that has the focus (slider, tabs, a list that scrolls), and scroll a page on which
     * no filter is chosen. */
    const onMap = (act) => (event) => {
      const { target } = event,
        isMap = target.id === 'map' || byId('map').contains(target);
      const isFree =
        target === document.body || (target.closest('#panel-filter') && !target.closest('.table-box, .tags'));
      if (isMap || (isFree && chosen.filter !== null)) return act(event);
      return false;
    };
    filtags.keys([
      [
        'ArrowLeft ArrowRight',
        'previous or next filter',
        onMap((event) => stepFilter(event.key === 'ArrowLeft' ? -1 : 1)),
      ],
      [
        'ArrowUp ArrowDown',
        'the layer before or behind',
        onMap((event) => stepLayer(event.key === 'ArrowUp' ? -1 : 1)),
      ],
      [
        'p n',
        'previous or next filter with a tag (of the chosen class)',
        (event) => stepTagged(event.key === 'p' ? -1 : 1),
      ],
      ['[ ] - =', 'lower or higher value of k or q', (event) => stepSelector('[-'.includes(event.key) ? -1 : 1)],
      ['k q', 'count filters (k) or take percents (q)', (event) => useRule(event.key)],
      ['1 2 3', 'layers, class, filter', (event) => choose({ tab: TABS[event.key - 1] }, false)],
      ['/', 'search', () => byId('search').focus()],
      [
        'Escape',
        'let go: the filter, then the class',
        () => {
          if (chosen.filter !== null)
            choose({ filter: null, layer: null, tab: chosen.classIndex === null ? 'layers' : 'class' });
          else if (chosen.classIndex !== null) choose({ classIndex: null, tab: 'layers' });
          else choose({ bin: null }, false);
        },
      ],
    ]);
  }

  function setUpControls() {
    for (const rule of ['k', 'q']) byId(`rule-${rule}`).addEventListener('click', () => useRule(rule));
    byId('selector').addEventListener('input', (event) =>
      choose({ place: Number(event.target.value), bin: null }, false),
    );
    byId('color').addEventListener('change', (event) => choose({ color: event.target.value, bin: null }, false));
    byId('scale').addEventListener('change', (event) => choose({ scale: event.target.value }, false));
    byId('sheet').addEventListener('click', () => openSheet(!byId('panel').classList.contains('open')));
    for (const tab of TABS) {
      byId(`tab-${tab}`).addEventListener('click', () => {
        choose({ tab }, false);
        openSheet(true);
      });
      byId(`tab-${tab}`).addEventListener('keydown', (event) => {
        if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
        const next = TABS[(TABS.indexOf(tab) + (event.key === 'ArrowRight' ? 1 : TABS.length - 1)) % TABS.length];
        choose({ tab: next }, false);
        byId(`tab-${next}`).focus();
        event.stopPropagation();
      });
    }
  }

  function roundingText() {
    const { activations } = tagData;
    if (!activations) return 'Tags alone: the page was made without class activations.';
    const error = activations.greatestError;
    return (
      `Class activations are rounded to ${activations.bits} bits between each filter’s least and greatest one: ` +
      `none is further than ${error ? Number(error.toPrecision(2)) : 0} from its true value. Tags are exact.`
    );
  }

  function showAbout() {
    byId('title').textContent = description.network || 'network';
    const nFilters = layers.reduce((sum, layer) => sum + layer.filters, 0);
    byId('map-count').textContent =
      `${nFilters.toLocaleString('en')} in ${layers.length === 1 ? '1 layer' : `${layers.length} layers`}, ` +
      `${classes.length.toLocaleString('en')} classes`;
    const { leftOut } = description;
    byId('left-out').hidden = !leftOut;
    byId('left-out').replaceChildren(
      `The first ${leftOut === 1 ? 'tagged layer is' : `${leftOut} tagged layers are`} left out of this page; `,
      el('code', { class: 'unbroken' }, '--max-layers'),
      ' shows more.',
    );
    const sources = [description.source, tagData.activations && tagData.activations.source]
      .filter(Boolean)
      .join(' and ');
    byId('about').replaceChildren(
      el(
        'p',
        {},
        'A cell is a filter of a convolution layer. A tag is a class that has the filter among its most active ones; ' +
          'the class activation is the mean activation of the filter over the class’s pictures, from 0 to 1.',
      ),
      el('p', { id: 'rounding' }, roundingText()),
      pictures.leftOutText() ? el('p', { id: 'pictures-left-out' }, pictures.leftOutText()) : '',
      el('p', { class: 'wrap' }, `Made from ${sources} by filTags ${description.version}.`),
    );
  }

  async function start() {
    const begun = performance.now();
    showAbout();
    setUpControls();
    finder.create(byId('search'), byId('search-results'), {
      class: pickClass,
      filter: pickFilter,
      layer: pickLayer,
      currentLayer: () => chosen.layer,
    });
    setUpKeys();
    panels.use({ class: pickClass, filter: pickFilter, layer: pickLayer, step: stepFilter });
    await tagData.loadTags();
    chosen.place = defaultPlace(chosen.rule);
    readAddress();
    filterMap.create(byId('map'), { onpick: pickFilter, onhover: showTip, onlayer: pickLayer });
    filtags.state.onchange = () => {
      readAddress();
      show();
    };
    document.addEventListener('filtags-theme', show);
    show();
    if (chosen.filter !== null || chosen.classIndex !== null) openSheet(true);
    document.documentElement.dataset.ready = 'tags';
    await new Promise((resolve) => {
      requestAnimationFrame(() => setTimeout(resolve));
    }); // the tags are on screen first
    if (chosen.layer !== null) filterMap.scrollTo(chosen.layer, chosen.filter);
    await Promise.all([tagData.loadActivations(), pictures.load()]);
    show();
    requestAnimationFrame(() => {
      document.documentElement.dataset.ready = 'all';
      document.documentElement.dataset.readyMilliseconds = Math.round(performance.now());
      document.documentElement.dataset.ownMilliseconds = Math.round(performance.now() - begun);
    });
  }
  start();
})();
