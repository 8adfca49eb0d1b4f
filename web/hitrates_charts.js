/* hitrates_charts.js - the charts of plot-hitrates: the large one, as Plotly wants it, and the small ones of every
 * class. A view is what is chosen on the page (readView in hitrates.js). */
'use strict';
function hitratesCharts(data) {
  const { values, m, rateAt, layerNames, valueText, exact, SLOT, axisOf, ticksOf, axisTitle } = data;

  /* ---------------------------------------------------------------- the chart */

  const lineName = (v, i) => (v.against === 'm' ? `${v.rule} = ${valueText(v.rule, v.list[i])}` : `m = ${v.list[i]}`);

  /* Rate of line i at x (both are places in their lists). */
  const lineRate = (v, layers, row, i, x) =>
    v.against === 'm' ? rateAt(v.rule, layers, row, i, x) : rateAt(v.rule, layers, row, x, i);

  /* Which values get a marker: those that don't crowd; those without an amount always. Of the others hovering tells. */
  function markedOf(axis, xs, width) {
    const gap = (15 * (1.04 - axis.start)) / Math.max(width, 100);
    let last = -Infinity;
    return xs.map((value, x) => {
      const at = axis.of(value),
        isMarked = axis.apart.includes(value) || at - last >= gap || x === xs.length - 1;
      if (isMarked && !axis.apart.includes(value)) last = at;
      return isMarked;
    });
  }

  function tracesOf(v, axis, xs, panel, layers, width) {
    const marked = markedOf(axis, xs, width);
    return v.lines.map((i) => {
      const style = filtags.lineStyle(v.slots.get(i));
      const rates = xs.map((_, x) => lineRate(v, layers, v.row, i, x));
      const trace = { x: [], y: [], customdata: [] },
        sizes = [];
      xs.forEach((value, x) => {
        const at =
          v.against === 'm'
            ? `${lineName(v, i)}, m = ${value}`
            : `${v.rule} = ${valueText(v.rule, value)}, ${lineName(v, i)}`;
        trace.x.push(axis.of(value));
        trace.y.push(rates[x]);
        sizes.push(marked[x] || (rates[x - 1] ?? rates[x + 1] ?? null) === null ? 8 : 0);
        trace.customdata.push(`${at}<br>hit rate <b>${exact(rates[x])}</b>, ${layerNames[layers]}`);
        if (axis.apart.includes(value)) {
          // a gap behind what is no amount
          trace.x.push(axis.of(value));
          trace.y.push(null);
          trace.customdata.push('');
          sizes.push(0);
        }
      });
      return {
        ...trace,
        type: 'scatter',
        mode: 'lines+markers',
        name: lineName(v, i),
        legendgroup: String(i),
        showlegend: panel === 0,
        line: style.line,
        connectgaps: false,
        hovertemplate: '%{customdata}<extra></extra>',
        marker: {
          ...style.marker,
          size: sizes,
          opacity: 1,
          line: { color: filtags.style('--surface'), width: sizes.map((size) => (size ? 1 : 0)) },
        },
        xaxis: panel ? 'x2' : 'x',
        yaxis: panel ? 'y2' : 'y',
      };
    });
  }

  function chartOf(v, width) {
    const xs = v.against === 'm' ? m : values[v.rule];
    const axis = axisOf(xs, v.against !== 'm', v.rule);
    const isStacked = width < 700 && v.panels.length > 1,
      n = v.panels.length;
    const panelWidth = (isStacked ? width : width / n) - 80;
    const ticks = ticksOf(axis, panelWidth / (1 - axis.start));
    const xaxis = {
      range: [axis.start, 1.04],
      zeroline: false,
      showgrid: false,
      ticks: 'outside',
      fixedrange: true,
      tickvals: [...axis.apart.map(axis.of), ...ticks.map(axis.of)],
      ticktext: [...axis.apart.map((value) => (value === 0 ? '> mean' : String(value))), ...ticks.map(String)],
      title: { text: axisTitle(v.rule, v.against, axis.isLog), standoff: 8, font: { size: 13 } },
      tickangle: 0,
    };
    const yaxis = {
      range: [-0.01, 1.04],
      tickvals: [0, 0.2, 0.4, 0.6, 0.8, 1],
      tickformat: '.1f',
      zeroline: false,
      fixedrange: true,
      title: { text: 'Hit rate', standoff: 6, font: { size: 13 } },
    };
    const domains = isStacked
      ? {
          x: [
            [0, 1],
            [0, 1],
          ],
          y: [
            [0.58, 1],
            [0, 0.42],
          ],
        }
      : n > 1
        ? {
            x: [
              [0, 0.475],
              [0.525, 1],
            ],
            y: [
              [0, 1],
              [0, 1],
            ],
          }
        : { x: [[0, 1]], y: [[0, 1]] };
    const layout = {
      // beside the controls above it in a window of 720 pixels, axes included
      height: isStacked ? 640 : Math.max(320, Math.min(400, window.innerHeight - 390)),
      hovermode: 'closest',
      hoverdistance: 30,
      showlegend: false,
      dragmode: false,
      margin: { l: 52, r: 12, t: 30, b: 48 },
      annotations: [],
      shapes: [],
    };
    v.panels.forEach((layers, i) => {
      const suffix = i ? '2' : '';
      layout[`xaxis${suffix}`] = { ...xaxis, domain: domains.x[i], anchor: `y${suffix}` };
      layout[`yaxis${suffix}`] = {
        ...yaxis,
        ...(i && !isStacked ? { title: undefined } : {}),
        domain: domains.y[i],
        anchor: `x${suffix}`,
      };
      layout.annotations.push({
        text: `<b>${layers === 'all' ? 'All layers' : 'Last layer'}</b>`,
        showarrow: false,
        x: domains.x[i][0],
        y: domains.y[i][1],
        xref: 'paper',
        yref: 'paper',
        xanchor: 'left',
        yanchor: 'bottom',
      });
      if (axis.apart.length) {
        layout.shapes.push({
          type: 'rect',
          layer: 'below',
          xref: `x${suffix}`,
          yref: `y${suffix} domain`,
          x0: axis.start,
          x1: -SLOT * 0.45,
          y0: 0,
          y1: 1,
          line: { width: 0 },
          fillcolor: filtags.style('--line'),
          opacity: 0.4,
        });
      }
    });
    const traces = v.panels.flatMap((layers, panel) => tracesOf(v, axis, xs, panel, layers, panelWidth));
    return [traces, layout, { displayModeBar: false }];
  }

  /* ---------------------------------------------------------------- pieces of SVG: swatches, small charts */

  function svgElement(name, attributes, ...children) {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  const star = (n, inner, turn = 0) =>
    Array.from({ length: n }, (_, i) => {
      const angle = (2 * Math.PI * i) / n + turn,
        r = i % 2 ? inner : 1;
      return [r * Math.sin(angle), -r * Math.cos(angle)];
    });
  const bars = [
    [-0.36, -1],
    [0.36, -1],
    [0.36, -0.36],
    [1, -0.36],
    [1, 0.36],
    [0.36, 0.36],
    [0.36, 1],
    [-0.36, 1],
    [-0.36, 0.36],
    [-1, 0.36],
    [-1, -0.36],
    [-0.36, -0.36],
  ];
  const shapes = {
    square: star(4, 1, Math.PI / 4),
    diamond: star(4, 1),
    'triangle-up': star(3, 1),
    cross: bars,
    x: bars.map(([x, y]) => [(x - y) * 0.75, (x + y) * 0.75]),
    star: star(10, 0.46),
    pentagon: star(5, 1),
  };
  const dashes = { solid: '', dash: '7 4', dot: '2 3', dashdot: '7 3 2 3', longdash: '11 4', longdashdot: '11 3 2 3' };

  function swatch(slot) {
    const { line, marker } = filtags.lineStyle(slot);
    const points = shapes[marker.symbol];
    return svgElement(
      'svg',
      { width: 34, height: 14, viewBox: '0 0 34 14', 'aria-hidden': 'true' },
      svgElement('line', {
        x1: 0,
        x2: 34,
        y1: 7,
        y2: 7,
        stroke: line.color,
        'stroke-width': 2,
        'stroke-dasharray': dashes[line.dash],
      }),
      points
        ? svgElement('polygon', {
            fill: marker.color,
            points: points.map(([x, y]) => `${17 + 5 * x},${7 + 5 * y}`).join(' '),
          })
        : svgElement('circle', { fill: marker.color, cx: 17, cy: 7, r: 4 }),
    );
  }

  const WIDTH = 150,
    HEIGHT = 56;

  function miniChart(v, layers, row) {
    const xs = v.against === 'm' ? m : values[v.rule];
    const axis = axisOf(xs, v.against !== 'm', v.rule);
    const px = (value) => 4 + ((WIDTH - 8) * (axis.of(value) - axis.start)) / (1.02 - axis.start);
    const py = (rate) => 4 + (HEIGHT - 8) * (1 - rate);
    const svg = svgElement('svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    });
    for (const rate of [0, 0.5, 1]) {
      svg.append(
        svgElement('line', {
          x1: 0,
          x2: WIDTH,
          y1: py(rate),
          y2: py(rate),
          stroke: 'var(--line)',
          'vector-effect': 'non-scaling-stroke',
        }),
      );
    }
    for (const i of v.lines) {
      const color = filtags.lineStyle(v.slots.get(i)).line.color;
      let path = '',
        isDown = false;
      xs.forEach((value, x) => {
        const rate = lineRate(v, layers, row, i, x);
        if (rate === null) {
          isDown = false;
          return;
        }
        const at = `${px(value).toFixed(1)},${py(rate).toFixed(1)}`;
        path += axis.apart.includes(value) || xs.length === 1 ? `M${at}h.01` : `${isDown ? 'L' : 'M'}${at}`;
        isDown = !axis.apart.includes(value);
      });
      svg.append(
        svgElement('path', {
          d: path,
          fill: 'none',
          stroke: color,
          'stroke-width': 1.6,
          'stroke-linecap': 'round',
          'stroke-linejoin': 'round',
          'vector-effect': 'non-scaling-stroke',
        }),
      );
    }
    return svg;
  }

  return { chartOf, miniChart, swatch, lineRate };
}
