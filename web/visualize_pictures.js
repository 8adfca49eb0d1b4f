/* visualize_pictures.js - the pictures that excite a filter most, with its heat map over them, where there are any. */
'use strict';
const pictures = (() => {
  const { el } = filtags;
  const { layers } = tagData;
  const isThere = Boolean(document.getElementById('pictures'));
  const description = isThere ? filtags.json('pictures') : { files: [], mapSizes: [], leftOut: 0 };
  const urls = []; // of the thumbnails, made when they are shown
  let thumbnails = null,
    isHeatOn = true,
    opacity = 0.65;

  async function take(id) {
    const bytes = await filtags.bytes(id);
    document.getElementById(id).remove();
    return bytes;
  }

  function unpackLayer(layer, bytes, [h, w]) {
    const counts = new Uint32Array(bytes.buffer, 0, layer.filters);
    const first = new Uint32Array(layer.filters + 1);
    for (let f = 0; f < layer.filters; f++) first[f + 1] = first[f] + counts[f];
    const n = first[layer.filters],
      at = 4 * layer.filters;
    layer.pictures = {
      first,
      h,
      w,
      files: new Uint32Array(bytes.buffer, at, n),
      activations: new Float32Array(bytes.buffer, at + 4 * n, n),
      maps: bytes.subarray(at + 8 * n),
    };
  }

  async function load() {
    if (!isThere) return;
    let at = 0;
    for (const file of description.files) {
      file.at = at;
      at += file.bytes;
    }
    thumbnails = await take('thumbnails');
    await Promise.all(
      layers.map(async (layer, i) => unpackLayer(layer, await take(`maps-${i}`), description.mapSizes[i])),
    );
  }

  function urlOf(file) {
    if (!urls[file]) {
      const { at, bytes } = description.files[file];
      urls[file] = URL.createObjectURL(new Blob([thumbnails.subarray(at, at + bytes)], { type: 'image/jpeg' }));
    }
    return urls[file];
  }

  /* Inferno's way from dark to bright, the weak end transparent: what stands out is where the filter responds. */
  const STOPS = [
    [0, 0, 4],
    [87, 16, 110],
    [188, 55, 84],
    [249, 142, 9],
    [252, 255, 164],
  ];
  function heat(value) {
    const place = value * (STOPS.length - 1),
      i = Math.min(Math.floor(place), STOPS.length - 2);
    return STOPS[i].map((part, j) => Math.round(part + (STOPS[i + 1][j] - part) * (place - i)));
  }

  /* The map's own range is stretched over the colours: weak filters show where they respond, too. */
  function drawMap(canvas, values) {
    let least = 255,
      greatest = 0;
    for (const value of values) {
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
    const context = canvas.getContext('2d'),
      image = context.createImageData(canvas.width, canvas.height);
    values.forEach((value, i) => {
      const part = greatest > least ? (value - least) / (greatest - least) : 0;
      image.data.set([...heat(part), Math.round(255 * Math.min(1, 0.25 + 0.9 * part))], 4 * i);
    });
    context.putImageData(image, 0, 0);
  }

  /* 'class/file': the class may be on the page. */
  function classOf(name) {
    const folder = name.slice(0, name.indexOf('/'));
    const one = tagData.classes.find((item) => item.key === folder || item.wnid === folder);
    return one ? one.label : folder;
  }

  function figure(layer, i) {
    const { h, w, files, activations, maps } = layer.pictures;
    const file = description.files[files[i]],
      name = classOf(file.name);
    const canvas = el('canvas', { width: w, height: h, class: 'heat', 'aria-hidden': 'true' });
    drawMap(canvas, maps.subarray(i * h * w, (i + 1) * h * w));
    const image = el('img', {
      src: urlOf(files[i]),
      width: file.width,
      height: file.height,
      alt: `picture of ${name}`,
      loading: 'lazy',
    });
    return el(
      'figure',
      { class: 'picture', dataset: { file: file.name } },
      el('div', { class: 'frame' }, image, canvas),
      el(
        'figcaption',
        { title: file.name },
        el('bdi', { class: 'wrap' }, filtags.shorten(name, 24)),
        el('span', { class: 'mono muted' }, activations[i].toFixed(3)),
      ),
    );
  }

  const leftOutText = () =>
    description.leftOut
      ? `${description.leftOut.toLocaleString('en')} of the pictures that step 1 kept are left out of this page, ` +
        'which would be too large.'
      : '';

  /* What the filter's panel shows: nothing on a page without pictures. */
  function section(view) {
    const layer = layers[view.layer];
    if (!isThere || !layer.pictures) return [];
    const [from, to] = [layer.pictures.first[view.filter], layer.pictures.first[view.filter + 1]];
    if (from === to)
      return [
        el('h3', {}, 'Strongest pictures'),
        el('p', { class: 'note' }, leftOutText() || 'Step 1 kept none of this filter.'),
      ];
    const grid = el('div', { id: 'pictures-grid', class: 'pictures', dataset: { heat: isHeatOn ? 'on' : 'off' } });
    grid.style.setProperty('--heat', opacity);
    for (let i = from; i < to; i++) grid.append(figure(layer, i));
    const toggle = el(
      'button',
      {
        type: 'button',
        id: 'heat-toggle',
        'aria-pressed': String(isHeatOn),
        onclick: () => {
          isHeatOn = !isHeatOn;
          toggle.setAttribute('aria-pressed', String(isHeatOn));
          grid.dataset.heat = isHeatOn ? 'on' : 'off';
        },
      },
      'Heat map',
    );
    const slider = el('input', {
      type: 'range',
      id: 'heat-opacity',
      min: 0.1,
      max: 1,
      step: 0.05,
      value: opacity,
      'aria-label': 'Opacity of the heat map',
      oninput: () => {
        opacity = Number(slider.value);
        grid.style.setProperty('--heat', opacity);
      },
    });
    return [
      el('div', { class: 'row' }, el('h3', {}, 'Strongest pictures'), el('span', { class: 'space' }), toggle, slider),
      grid,
      el(
        'p',
        { class: 'note' },
        'Bright: where in the picture the filter responds most. Number: its activation for the picture.',
      ),
    ];
  }

  return { load, section, leftOutText, isThere };
})();
