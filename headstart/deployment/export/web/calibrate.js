"use strict";
/** How much to believe scores, and how far to trust a share: the twins of temperature_scaling.py and statistics.py. */
const Calibrate = (() => {
  const COLDEST = 1e-3, HOTTEST = 1e3, Z = 1.959963984540054;

  /**
   * The temperature for scores of rows that the head did not learn from.
   * scores: m arrays of k.  truth: m class numbers; k = 1 is one column whose sigmoid tells class 1 from class 0.
   * Gives {temperature, raw, loss}: log-loss in nats before, and after at its least.
   */
  function temperature(scores, truth) {
    const m = scores.length;
    if (!m) return { temperature: 1, raw: NaN, loss: NaN };
    // Shifted so that the highest is 0, in one array: this is walked through some fifty times a strength.
    const k = Math.max(2, scores[0].length), shifted = new Float64Array(m * k);
    scores.forEach((s, i) => {
      const pair = s.length === 1 ? [0, s[0]] : s, top = Math.max(...pair);
      for (let c = 0; c < k; c++) shifted[i * k + c] = pair[c] - top;
    });
    const at = (u) => curve(shifted, k, truth, u);
    const best = rising((u) => { const c = at(u); return [c.slope, c.bend]; }, 1);
    const ceiling = (m + 1) / (m + 2);
    const excess = (u) => [at(u).sure - ceiling, 0];
    const honest = excess(best)[0] > 0 ? Math.min(best, rising(excess, best)) : best;
    return { temperature: 1 / honest, raw: at(1).loss, loss: at(best).loss };
  }

  /** Means over the rows at scores times u: loss, its two derivatives in u, the highest probability. */
  function curve(shifted, k, truth, u) {
    const m = truth.length;
    let loss = 0, slope = 0, bend = 0, sure = 0;
    for (let i = 0, from = 0; i < m; i++, from += k) {
      let total = 0, mean = 0, square = 0;
      for (let c = from; c < from + k; c++) {
        const v = shifted[c], e = Math.exp(u * v);
        total += e;
        mean += e * v;
        square += e * v * v;
      }
      mean /= total;
      const right = shifted[from + truth[i]];
      loss += Math.log(total) - u * right;
      slope += mean - right;
      bend += square / total - mean * mean;
      sure += 1 / total;
    }
    return { loss: loss / m, slope: slope / m, bend: bend / m, sure: sure / m };
  }

  /** Where a rising function crosses 0: Newton where it stays inside of what is known, else halving in logarithms. */
  function rising(value, at) {
    let low = 1 / HOTTEST, high = 1 / COLDEST;
    for (let i = 0; i < 50; i++) {
      const [here, slope] = value(at);
      if (here > 0) high = at; else low = at;
      let next = slope > 0 ? at - here / slope : 0;
      if (!(low < next && next < high)) next = Math.sqrt(low * high);
      if (Math.abs(next - at) <= 1e-5 * at) return next;
      at = next;
    }
    return at;
  }

  /** Wilson's 95 % interval of a share, `right` of `n`. Source: E. B. Wilson, JASA 22 (1927), 209-212. */
  function wilson(right, n) {
    if (!n) return [0, 1];
    const p = right / n, z2 = Z * Z;
    const middle = p + z2 / (2 * n), half = Z * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
    return [Math.max(0, (middle - half) / (1 + z2 / n)), Math.min(1, (middle + half) / (1 + z2 / n))];
  }

  return { temperature, wilson };
})();
