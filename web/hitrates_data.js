/* hitrates_data.js - what the page of plot-hitrates knows: rates, unpacked, and how values are named, chosen and put
 * on an axis. Nothing here touches the screen. */
'use strict';
async function loadHitrates() {
  const about = filtags.json('about');
  const [numbers, packed] = await Promise.all([filtags.bytes('numbers'), filtags.bytes('rates')]);

  /* ---------------------------------------------------------------- the rates */

  const all = new Float64Array(numbers.buffer);
  const { n_k, n_q, n_m } = about;
  const values = { k: Array.from(all.subarray(0, n_k)), q: Array.from(all.subarray(n_k, n_k + n_q)) };
  const m = Array.from(all.subarray(n_k + n_q, n_k + n_q + n_m));
  const distinct = all.subarray(n_k + n_q + n_m); // [0] is NaN: no rate
  const places = new (about.place_bytes === 2 ? Uint16Array : Uint32Array)(packed.buffer); // in distinct
  const tables = {}; // 'k-all' -> {first place, rows}
  let nBefore = 0;
  for (const table of about.tables) {
    tables[`${table.rule}-${table.layers}`] = { first: nBefore, rows: table.rows };
    nBefore += table.rows * values[table.rule].length * n_m;
  }
  const labels = about.labels;
  const hasClasses = labels.length > 0 && about.tables.some((table) => table.rows > 1);

  /* row 0: the total. null: no rate. */
  function rateAt(rule, layers, row, v, i) {
    const table = tables[`${rule}-${layers}`];
    if (!table || row >= table.rows) return null;
    const at = table.first + (row * values[rule].length + v) * n_m + i;
    const place = places[at];
    return place ? distinct[place] : null;
  }

  /* ---------------------------------------------------------------- words */

  const layerNames = { all: 'all layers', last: 'last layer' };
  const rules = ['k', 'q'].filter((rule) => about.tables.some((table) => table.rule === rule));
  const layersOf = (rule) => ['all', 'last'].filter((layers) => tables[`${rule}-${layers}`]);
  const isMean = (rule, value) => value <= 0 || (rule === 'q' && value > 100); // no amount: all filters above the mean
  const unit = (rule) => (rule === 'q' ? ' %' : '');
  const valueText = (rule, value) => (value === 0 ? '0 (> mean)' : `${value}${unit(rule)}`);
  const labelOf = (row) => (row ? labels[row - 1] : 'All classes');
  /* Names on screen in one line; an empty one is still something to click. */
  const lineOf = (label) => label.replace(/\s+/g, ' ').trim() || '(no name)';
  const exact = (rate) => (rate === null ? '–' : String(Number(rate.toFixed(6))));

  /* ---------------------------------------------------------------- which lines */

  const MOST_DEFAULT = 8;

  /* As choose_values of the program: 0, and amounts of 1, 2, 5, 10, ..., or spread evenly over the list. */
  function defaultLines(list, hasMean, rule) {
    const indices = list.map((_, i) => i);
    if (list.length <= MOST_DEFAULT) return indices;
    const amounts = indices.filter((i) => !hasMean || !isMean(rule, list[i]));
    const mean = hasMean ? indices.filter((i) => list[i] <= 0).slice(-1) : [];
    const nLeft = MOST_DEFAULT - mean.length;
    const isRound = (value) => {
      const digit = value / 10 ** Math.floor(Math.log10(value) + 1e-9);
      return [1, 2, 5].some((one) => Math.abs(digit - one) < 1e-9);
    };
    const low = list[amounts[0]],
      high = list[amounts[amounts.length - 1]];
    const round = low > 0 && high / low >= 12 ? amounts.filter((i) => isRound(list[i])) : [];
    if (round.length >= 4 && round.length <= nLeft) return [...mean, ...round];
    if (amounts.length <= nLeft) return [...mean, ...amounts];
    const spread = Array.from(
      { length: nLeft },
      (_, i) => amounts[Math.round((i / (nLeft - 1)) * (amounts.length - 1))],
    );
    return [...mean, ...new Set(spread)];
  }

  /* ---------------------------------------------------------------- the horizontal axis */

  const SLOT = 0.13; // of a value that is no amount, where all amounts have 1

  /* Where values stand: amounts from 0 to 1, by ratio over a wide range; those that are none to the left of 0. */
  function axisOf(list, hasMean, rule) {
    const apart = list.filter((value) => hasMean && isMean(rule, value));
    const amounts = list.filter((value) => !hasMean || !isMean(rule, value));
    const low = amounts[0],
      high = amounts[amounts.length - 1];
    const isLog = low > 0 && high / low >= 12;
    const place = (value) =>
      high === low
        ? 0.5
        : isLog
          ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low))
          : (value - low) / (high - low);
    const of = (value) => (apart.includes(value) ? -SLOT * (apart.length - apart.indexOf(value) - 0.1) : place(value));
    return { of, place, apart, amounts, low, high, isLog, start: apart.length ? -SLOT * (apart.length + 0.45) : -0.04 };
  }

  function niceSteps(low, high, most) {
    const rough = (high - low) / most,
      power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough * (1 - 1e-9));
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++)
      ticks.push(Number((i * step).toPrecision(12)));
    return ticks;
  }

  function ticksOf(axis, width) {
    const room = 34 / Math.max(width, 100);
    const fits = (ticks) => ticks.every((tick, i) => !i || axis.place(tick) - axis.place(ticks[i - 1]) >= room);
    if (fits(axis.amounts)) return axis.amounts;
    if (axis.isLog) {
      for (const digits of [[1, 2, 5], [1]]) {
        const ticks = [];
        for (let power = Math.floor(Math.log10(axis.low)); power <= Math.ceil(Math.log10(axis.high)); power++) {
          ticks.push(...digits.map((digit) => Number((digit * 10 ** power).toPrecision(12))));
        }
        const inside = ticks.filter((tick) => tick >= axis.low && tick <= axis.high);
        if (inside.length > 1 && fits(inside)) return inside;
      }
      return [axis.low, axis.high];
    }
    for (let most = 8; most > 1; most--) {
      const ticks = niceSteps(axis.low, axis.high, most);
      if (fits(ticks)) return ticks;
    }
    return [axis.low];
  }

  const axisTitle = (rule, against, isLog) =>
    (against === 'm'
      ? 'm, labels that the tags may name'
      : rule === 'k'
        ? 'k, most active filters of a layer'
        : 'q, most active filters of a layer in %') + (isLog ? ' (log scale)' : '');

  return {
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
    exact,
    defaultLines,
    SLOT,
    axisOf,
    ticksOf,
    axisTitle,
  };
}
