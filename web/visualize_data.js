/* visualize_data.js - what the page of visualize knows: layers, classes, tags and class activations, unpacked from the
 * blocks that src/report/tag_pack.h describes. All is a question to `tagData`; nothing here touches the screen. */
'use strict';
const tagData = (() => {
  const description = filtags.json('description');
  const { layers, classes } = description;
  const nClasses = classes.length;
  const activations = description.activations || null;

  /* Selectors in the order of the packed tags (k, then q), and for each rule those by value. */
  const selectors = [
    ...description.k.map((value) => ({ rule: 'k', value })),
    ...description.q.map((value) => ({ rule: 'q', value })),
  ];
  selectors.forEach((selector, i) => {
    selector.index = i;
  });
  const byRule = (rule) => selectors.filter((one) => one.rule === rule).sort((a, b) => a.value - b.value);
  const rules = { k: byRule('k'), q: byRule('q') };

  /* ---------------------------------------------------------------- classes */

  const usesOfLabel = new Map();
  classes.forEach((one, i) => {
    one.index = i;
    one.label = one.label === undefined ? one.key : one.label;
    usesOfLabel.set(one.label, (usesOfLabel.get(one.label) || 0) + 1);
  });
  const classOfKey = new Map();
  for (const one of classes) {
    /* bytes that aren't UTF-8 look alike: a number tells such names apart */
    let id = one.key;
    for (let i = 2; classOfKey.has(id); i++) id = `${one.key}~${i}`;
    one.id = id;
    classOfKey.set(id, one.index);
  }

  /* What tells a class apart from another one of the same label; '' where nothing is needed. */
  function distinction(index) {
    const one = classes[index];
    if (usesOfLabel.get(one.label) === 1) return '';
    return one.wnid || (one.number === undefined ? one.id : `class ${one.number}`);
  }
  const className = (index) => [classes[index].label, distinction(index)].filter(Boolean).join(' · ');

  /* ---------------------------------------------------------------- unpacking */

  function unpackTags(layer, bytes) {
    const nSets = selectors.length * nClasses;
    const nEntries = new Uint32Array(bytes.buffer, 0, nClasses);
    layer.first = new Uint32Array(nClasses + 1);
    for (let c = 0; c < nClasses; c++) layer.first[c + 1] = layer.first[c] + nEntries[c];
    layer.length = new Uint32Array(bytes.buffer, 4 * nClasses, nSets);
    layer.start = new Uint32Array(bytes.buffer, 4 * (nClasses + nSets), nSets);
    const n = layer.first[nClasses],
      at = 4 * (nClasses + 2 * nSets);
    const mask = layer.entryBytes >= 4 ? 0xffffffff : 2 ** (8 * layer.entryBytes) - 1;
    layer.sequence = layer.entryBytes > 2 ? new Uint32Array(n) : new Uint16Array(n);
    for (let i = 0, before = 0; i < n; i++) {
      let difference = 0;
      for (let byte = 0; byte < layer.entryBytes; byte++) difference |= bytes[at + byte * n + i] << (8 * byte);
      before = ((before + difference) & mask) >>> 0;
      layer.sequence[i] = before;
    }
  }

  function unpackActivations(layer, bytes) {
    const n = layer.filters,
      size = n * activations.rows;
    layer.least = new Float32Array(bytes.buffer, 0, n);
    layer.greatest = new Float32Array(bytes.buffer, 4 * n, n);
    layer.high = bytes.subarray(8 * n, 8 * n + size);
    layer.low = activations.bits === 16 ? bytes.subarray(8 * n + size, 8 * n + 2 * size) : null;
  }

  /* A block is needed once: its text is given back to the browser. */
  async function take(id) {
    const bytes = await filtags.bytes(id);
    document.getElementById(id).remove();
    return bytes;
  }
  const loadTags = () => Promise.all(layers.map(async (layer, i) => unpackTags(layer, await take(`tags-${i}`))));
  async function loadActivations() {
    if (!activations) return;
    await Promise.all(layers.map(async (layer, i) => unpackActivations(layer, await take(`activations-${i}`))));
    activations.isLoaded = true;
  }

  /* ---------------------------------------------------------------- tags */

  /* Filters of a class, ascending; one that it tags twice (decoded labels that two classes share) comes twice. */
  function filtersOf(layer, classIndex, selector) {
    const set = selector * nClasses + classIndex;
    const start = layer.first[classIndex] + layer.start[set];
    return layer.sequence.subarray(start, start + layer.length[set]);
  }

  /* The tags by filter: classes of filter f are items[offset[f]] to items[offset[f + 1] - 1]. Kept for one selector. */
  function byFilter(layer, selector) {
    if (layer.turned && layer.turned.selector === selector) return layer.turned;
    const offset = new Uint32Array(layer.filters + 1);
    for (let c = 0; c < nClasses; c++) {
      const filters = filtersOf(layer, c, selector);
      for (let i = 0; i < filters.length; i++) offset[filters[i] + 1]++;
    }
    const counts = offset.slice(1);
    for (let f = 0; f < layer.filters; f++) offset[f + 1] += offset[f];
    layer.turned = { selector, offset, counts, items: null };
    return layer.turned;
  }

  /* How many tags each filter of a layer has. */
  const counts = (layer, selector) => byFilter(layer, selector).counts;

  /* Classes that tag a filter, in the order of the classes. */
  function classesOf(layer, filter, selector) {
    const turned = byFilter(layer, selector);
    if (!turned.items) {
      const next = turned.offset.slice();
      turned.items = new Uint32Array(turned.offset[layer.filters]);
      for (let c = 0; c < nClasses; c++) {
        const filters = filtersOf(layer, c, selector);
        for (let i = 0; i < filters.length; i++) turned.items[next[filters[i]]++] = c;
      }
    }
    return turned.items.subarray(turned.offset[filter], turned.offset[filter + 1]);
  }

  /* ---------------------------------------------------------------- class activations */

  const hasActivations = () => Boolean(activations && activations.isLoaded);
  const hasRow = (classIndex) => classes[classIndex].row !== undefined;

  function valueOfRow(layer, filter, row) {
    const i = filter * activations.rows + row;
    const level = layer.low ? 256 * layer.high[i] + layer.low[i] : layer.high[i];
    const least = layer.least[filter];
    return least + (level * (layer.greatest[filter] - least)) / (layer.low ? 65535 : 255);
  }
  /* undefined: the class has none. */
  function activation(layer, filter, classIndex) {
    const { row } = classes[classIndex];
    return row === undefined || !hasActivations() ? undefined : valueOfRow(layer, filter, row);
  }

  /* Of every filter, over all classes. */
  function means(layer) {
    if (!layer.means) {
      layer.means = new Float64Array(layer.filters);
      for (let f = 0; f < layer.filters; f++) {
        let sum = 0;
        for (let row = 0; row < activations.rows; row++) sum += valueOfRow(layer, f, row);
        layer.means[f] = sum / activations.rows;
      }
    }
    return layer.means;
  }
  const maxima = (layer) => layer.greatest;

  return {
    description,
    layers,
    classes,
    nClasses,
    selectors,
    rules,
    activations,
    classOfKey,
    className,
    distinction,
    loadTags,
    loadActivations,
    filtersOf,
    counts,
    classesOf,
    hasActivations,
    hasRow,
    activation,
    means,
    maxima,
  };
})();
