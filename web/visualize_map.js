/* visualize_map.js - the map: a block of cells for every layer, a cell for every filter, on a canvas each. Cells of all
 * layers have one size, so that a layer takes the room of its filters. */
'use strict';
const filterMap = (() => {
  const { el } = filtags;
  const { layers } = tagData;
  const GAP = 1,
    PAD = 4,
    LEAST_PITCH = 6,
    MOST_PITCH = 24,
    WANTED_HEIGHT = 620;

  /* Numbers of tags fall into these; the last one has no end. */
  const BINS = [
    [0, 0],
    [1, 1],
    [2, 5],
    [6, 20],
    [21, 100],
    [101, Infinity],
  ];
  const binOf = (count) => BINS.findIndex(([, last]) => count <= last);
  const binName = (bin, most) => {
    const [first, last] = BINS[bin];
    if (first === last) return String(first);
    return last === Infinity || most < last
      ? most === first
        ? String(first)
        : `${first}–${most}`
      : `${first}–${last}`;
  };

  /* Both ramps go from "hardly to be seen" to "stands out", without red beside green. Orange, which they don't have, is
   * for the filters of the chosen class. */
  const THEMES = {
    light: {
      bins: ['#e6e9ec', '#bfe3c0', '#7fcdbb', '#3ba7c4', '#2468ad', '#1b2a78'],
      none: '#e6e9ec',
      ramp: ['#eef1e8', '#cdeabf', '#86d0bb', '#3fb0c4', '#2a7ab6', '#25348f', '#0d1550'],
      lit: '#d9480f',
      ring: '#1a1f24',
    },
    dark: {
      bins: ['#272d33', '#2b4d78', '#2c7fb8', '#41b6c4', '#8fdcbb', '#f0f9c0'],
      none: '#272d33',
      ramp: ['#20272e', '#243f66', '#2a6ba8', '#36a0c2', '#6fcfbd', '#c0ecb4', '#fbfdd0'],
      lit: '#ff8a3d',
      ring: '#ffffff',
    },
  };
  const theme = () => THEMES[filtags.theme()];

  const parse = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const SHADES = 64;
  const shadesOf = Object.fromEntries(
    Object.entries(THEMES).map(([name, { ramp }]) => [
      name,
      Array.from({ length: SHADES }, (_, i) => {
        const place = (i / (SHADES - 1)) * (ramp.length - 1),
          at = Math.min(Math.floor(place), ramp.length - 2);
        const from = parse(ramp[at]),
          to = parse(ramp[at + 1]);
        return `rgb(${from.map((part, j) => Math.round(part + (to[j] - part) * (place - at))).join(' ')})`;
      }),
    ]),
  );
  const shade = (part) => shadesOf[filtags.theme()][Math.max(0, Math.min(SHADES - 1, Math.round(part * (SHADES - 1))))];

  let box = null,
    blocks = [],
    pitch = 10,
    columns = 1,
    view = null,
    hovered = null,
    observer = null;

  /* ---------------------------------------------------------------- layout */

  function create(element, handlers) {
    box = element;
    blocks = layers.map((layer, i) => {
      const canvas = el('canvas', { role: 'img', dataset: { layer: i } });
      const name = el(
        'button',
        { class: 'link layer-name', type: 'button', onclick: () => handlers.onlayer(i) },
        layer.name,
      );
      const facts = el('span', { class: 'muted small layer-facts' });
      const block = el(
        'section',
        { class: 'layer', dataset: { layer: i, name: layer.name } },
        el('div', { class: 'layer-head' }, name, facts),
        canvas,
      );
      canvas.addEventListener('pointermove', (event) => event.pointerType === 'mouse' && hover(i, event, handlers));
      canvas.addEventListener('pointerleave', () => leave(handlers));
      canvas.addEventListener('click', (event) => {
        const filter = filterAt(i, event);
        if (filter !== null) handlers.onpick(i, filter);
      });
      return { layer, canvas, facts, element: block, isVisible: false, isStale: true };
    });
    box.replaceChildren(...blocks.map((block) => block.element));
    observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          const block = blocks[Number(entry.target.dataset.layer)];
          block.isVisible = entry.isIntersecting;
          if (block.isVisible && block.isStale) drawBlock(block);
        }
      },
      { rootMargin: '300px' },
    );
    blocks.forEach((block) => observer.observe(block.element));
    let width = 0;
    new ResizeObserver(() => {
      if (box.clientWidth === width) return;
      width = box.clientWidth;
      layOut();
      redraw();
    }).observe(box);
  }

  const heightWith = (size, width) =>
    layers.reduce((sum, layer) => sum + size * Math.ceil(layer.filters / Math.max(1, Math.floor(width / size))), 0);

  /* The largest cells with which the whole map is not much higher than a screen. */
  function layOut() {
    const width = (box.clientWidth || 600) - PAD;
    pitch = MOST_PITCH;
    while (pitch > LEAST_PITCH && heightWith(pitch, width) > WANTED_HEIGHT) pitch--;
    columns = Math.max(1, Math.floor(width / pitch));
    const ratio = devicePixelRatio || 1;
    for (const { layer, canvas } of blocks) {
      const rows = Math.ceil(layer.filters / columns);
      const w = Math.min(layer.filters, columns) * pitch,
        h = rows * pitch;
      canvas.style.width = `${w + 2 * PAD}px`;
      canvas.style.height = `${h + 2 * PAD}px`;
      canvas.width = Math.round((w + 2 * PAD) * ratio);
      canvas.height = Math.round((h + 2 * PAD) * ratio);
      Object.assign(canvas.dataset, { pitch, columns, pad: PAD });
    }
  }

  /* ---------------------------------------------------------------- drawing */

  /* view: {selector, color, scale, classIndex, layer, filter, bin}. */
  function show(next) {
    view = next;
    for (const block of blocks) {
      block.element.classList.toggle('chosen', block.layer === layers[view.layer]);
      describe(block);
    }
    redraw();
  }

  function redraw() {
    if (!view) return;
    for (const block of blocks) {
      block.isStale = true;
      if (block.isVisible) drawBlock(block);
    }
  }

  /* The numbers that colours stand for; null: number of tags. */
  function valuesOf(layer) {
    if (view.color === 'mean') return tagData.means(layer);
    if (view.color === 'max') return tagData.maxima(layer);
    if (view.color === 'class' && view.classIndex !== null && tagData.hasRow(view.classIndex)) {
      const values = new Float64Array(layer.filters);
      for (let f = 0; f < layer.filters; f++) values[f] = tagData.activation(layer, f, view.classIndex);
      return values;
    }
    return null;
  }

  function rangeOf(values) {
    let least = Infinity,
      greatest = -Infinity;
    for (const value of values) {
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
    return [least, greatest];
  }

  /* Least and greatest of what is coloured, over all layers; null: number of tags. */
  function fullRange() {
    const ranges = layers.map(valuesOf).filter(Boolean).map(rangeOf);
    if (!ranges.length) return null;
    return [Math.min(...ranges.map((range) => range[0])), Math.max(...ranges.map((range) => range[1]))];
  }

  function litOf(layer) {
    if (view.classIndex === null) return null;
    const lit = new Uint8Array(layer.filters);
    for (const filter of tagData.filtersOf(layer, view.classIndex, view.selector)) lit[filter] = 1;
    return lit;
  }

  function drawBlock(block) {
    if (!view) return;
    const { layer, canvas } = block,
      ratio = devicePixelRatio || 1,
      context = canvas.getContext('2d');
    block.isStale = false;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(ratio, 0, 0, ratio, PAD * ratio, PAD * ratio); // room for the ring around a chosen filter
    const counts = tagData.counts(layer, view.selector),
      values = valuesOf(layer),
      lit = litOf(layer);
    const [least, greatest] = values ? view.range || rangeOf(values) : [0, 0];
    const colors = theme(),
      size = pitch - GAP;
    for (let f = 0; f < layer.filters; f++) {
      const x = (f % columns) * pitch,
        y = Math.floor(f / columns) * pitch;
      const bin = binOf(counts[f]);
      const isOut = view.bin !== null && view.bin !== bin;
      context.globalAlpha = isOut ? 0.15 : lit && !lit[f] && !values ? 0.42 : 1;
      context.fillStyle =
        lit && lit[f] && !values
          ? colors.lit
          : values
            ? shade(greatest > least ? (values[f] - least) / (greatest - least) : 0)
            : colors.bins[bin];
      context.fillRect(x, y, size, size);
      if (values && lit && lit[f])
        outline(context, x, y, size, colors.lit, Math.min(2, size / 4), -Math.min(2, size / 4) / 2);
    }
    context.globalAlpha = 1;
    if (layers[view.layer] === layer && view.filter !== null) mark(context, view.filter, colors.ring, true);
    if (hovered && layers[hovered.layer] === layer) mark(context, hovered.filter, colors.ring, false);
  }

  /* A line around a cell whose middle is outset pixels outside. */
  function outline(context, x, y, size, color, width, outset) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(x - outset, y - outset, size + 2 * outset, size + 2 * outset);
  }

  function mark(context, filter, color, isChosen) {
    const x = (filter % columns) * pitch,
      y = Math.floor(filter / columns) * pitch,
      size = pitch - GAP;
    if (isChosen) outline(context, x, y, size, filtags.style('--surface'), 4, 2);
    outline(context, x, y, size, color, isChosen ? 2 : 1, isChosen ? 2 : 0.5);
  }

  function describe(block) {
    const counts = tagData.counts(block.layer, view.selector);
    let nTagged = 0,
      nOwn = 0;
    for (const count of counts) {
      if (count) nTagged++;
      if (count === 1) nOwn++;
    }
    const number = (n) => n.toLocaleString('en');
    let text = `${number(block.layer.filters)} filters, ${number(nTagged)} tagged`;
    if (view.classIndex !== null) {
      const n = new Set(tagData.filtersOf(block.layer, view.classIndex, view.selector)).size;
      text += `, ${number(n)} by this class`;
    } else {
      text += `, ${number(nOwn)} by one class alone`;
    }
    block.facts.textContent = text;
    block.canvas.setAttribute('aria-label', `${block.layer.name}: ${text}`);
  }

  /* ---------------------------------------------------------------- pointer */

  function filterAt(index, event) {
    const rect = blocks[index].canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - rect.left - PAD) / pitch),
      row = Math.floor((event.clientY - rect.top - PAD) / pitch);
    const filter = row * columns + column;
    return column < 0 || column >= columns || row < 0 || filter >= layers[index].filters ? null : filter;
  }

  function hover(index, event, handlers) {
    const filter = filterAt(index, event);
    if (filter === null) {
      leave(handlers);
      return;
    }
    if (!hovered || hovered.layer !== index || hovered.filter !== filter) {
      const before = hovered;
      hovered = { layer: index, filter };
      if (before && before.layer !== index) drawBlock(blocks[before.layer]);
      drawBlock(blocks[index]);
    }
    handlers.onhover(index, filter, event);
  }

  function leave(handlers) {
    if (!hovered) return;
    const { layer } = hovered;
    hovered = null;
    drawBlock(blocks[layer]);
    handlers.onhover(null);
  }

  function scrollTo(index, filter) {
    const { canvas, element } = blocks[index];
    if (filter === null) {
      element.scrollIntoView({ block: 'start' });
      return;
    }
    const rect = canvas.getBoundingClientRect();
    const y = rect.top + PAD + Math.floor(filter / columns) * pitch;
    const top = document.querySelector('header.bar').getBoundingClientRect().bottom;
    const bottom = innerHeight - (matchMedia('(max-width: 900px)').matches ? innerHeight * 0.6 : 20);
    if (y < top + 30 || y + pitch > bottom) scrollBy({ top: y - (Math.max(top, 0) + bottom) / 2 });
  }

  return { create, show, redraw, fullRange, scrollTo, binOf, binName, BINS, theme, shade, columns: () => columns };
})();
