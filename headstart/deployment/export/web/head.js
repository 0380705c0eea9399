"use strict";
/**
 * A linear head on frozen embeddings, trained here: the twin of linear.py and heads/logistic.py. The same convex
 * problem with the same penalty, so the same embeddings and folds give the same answers.
 */
const Head = (() => {
  const PATH = Array.from({ length: 10 }, (_, i) => 10 ** (i / 2 - 0.5));
  const FACTOR = 10 ** 0.5, LEAST = 1e-6, MOST = 1e6, UNJUDGED = 10;
  const BETTER = 5e-3, NOTHING = 1e-5, PATIENCE = 2;
  const ROUGH = 1e-3, INNER = 20, EXACT = 1e-9, LONG = 200, FOLDS = 5;
  const TEMPERING = 3, FLAT = 3e-7, EPSILON = 2 ** -23, TINY = 2 ** -126;

  const median = (values) => {
    const sorted = Float64Array.from(values).sort(), half = sorted.length >> 1;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };

  /** Mean and gain of each column: (x - mean) * gain has rows of mean squared length 1. See linear.scaling. */
  function scaling(x, d) {
    const n = x.length, mean = new Float64Array(d), spread = new Float64Array(d), gain = new Float64Array(d);
    for (const row of x) for (let j = 0; j < d; j++) mean[j] += row[j] / n;
    for (const row of x) for (let j = 0; j < d; j++) spread[j] += (row[j] - mean[j]) ** 2 / n;
    for (let j = 0; j < d; j++) spread[j] = Math.sqrt(spread[j]);
    let alive = [];
    for (let j = 0; j < d; j++) if (spread[j] > Math.max(FLAT * Math.abs(mean[j]), TINY)) alive.push(j);
    if (!alive.length) return { mean, gain };
    const least = EPSILON * median(alive.map((j) => spread[j]));
    alive = alive.filter((j) => spread[j] > least);
    const typical = median(alive.map((j) => spread[j]));
    let total = 0;
    for (const j of alive) {
      gain[j] = Math.min(Math.max(Math.sqrt(spread[j] / typical), 1 / TEMPERING), TEMPERING) / spread[j];
      total += (spread[j] * gain[j]) ** 2;
    }
    for (const j of alive) gain[j] /= Math.sqrt(total);
    return { mean, gain };
  }

  /** Rows in the directions in which they vary most: z (n * r), power (r), and lift() back to columns of x. */
  function basis(x, d) {
    const n = x.length, { mean, gain } = scaling(x, d);
    const rows = x.map((row) => Float32Array.from(row, (v, j) => (v - mean[j]) * gain[j]));
    const small = Math.min(n, d), gram = new Float64Array(small * small);
    if (n <= d) {
      for (let i = 0; i < n; i++) for (let j = 0; j <= i; j++) gram[i * n + j] = gram[j * n + i] = meet(rows[i], rows[j]);
    } else {
      for (const row of rows) {
        for (let i = 0; i < d; i++) if (row[i]) for (let j = 0; j < d; j++) gram[i * d + j] += row[i] * row[j];
      }
    }
    const found = Eigen.symmetric(gram, small);
    const order = Array.from(found.values.keys()).sort((a, b) => found.values[b] - found.values[a]);
    const largest = Math.max(found.values[order[0]], Number.MIN_VALUE);
    const kept = order.filter((i) => found.values[i] > 1e-9 * largest), r = kept.length;
    const power = Float64Array.from(kept, (i) => found.values[i]), z = new Float64Array(n * r);
    const axis = (k) => found.rows.subarray(kept[k] * small, (kept[k] + 1) * small);
    for (let k = 0; k < r; k++) {
      const way = axis(k), size = Math.sqrt(power[k]);
      for (let i = 0; i < n; i++) z[i * r + k] = Math.fround(n <= d ? way[i] * size : meet(rows[i], way));
    }
    /** Coefficients on z (r) to coefficients on x (d). */
    function lift(b) {
      const out = new Float64Array(d), mixed = new Float64Array(small);
      for (let k = 0; k < r; k++) {
        const way = axis(k), far = n <= d ? b[k] / Math.sqrt(power[k]) : b[k];
        for (let i = 0; i < small; i++) mixed[i] += far * way[i];
      }
      if (n <= d) for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) out[j] += mixed[i] * rows[i][j];
      else out.set(mixed);
      return out.map((v, j) => v * gain[j]);
    }
    return { z, n, r, power, mean, lift };
  }

  const meet = (a, b) => { let sum = 0; for (let j = 0; j < a.length; j++) sum += a[j] * b[j]; return sum; };

  /**
   * A head for rows x (n arrays of d) of the classes truth (n numbers below width).
   * fold: of each row, as Folds.deal gives it
   * Gives {weight: Float32Array (d * width), bias: Float64Array (width), strength, temperature, logLoss, path, judged}.
   * Throws an Error when all rows are of one class.
   */
  function train(x, truth, width, fold) {
    const present = [...new Set(truth)].sort((a, b) => a - b);
    if (present.length < 2) throw new Error("Two classes with examples are the least.");
    const d = x[0].length, turned = basis(x, d), { n, r } = turned;
    const code = truth.map((c) => present.indexOf(c));
    const columns = present.length === 2 ? [1] : present.map((_, c) => c);
    const targets = columns.map((c) => Float64Array.from(code, (v) => (v === c ? 1 : 0)));
    const trials = search(turned, targets, code, fold);
    const least = Math.min(...trials.map((t) => t.loss));
    const chosen = trials.filter((t) => !t.point || t.loss <= (1 + BETTER) * least + NOTHING)
      .reduce((a, b) => (b.strength < a.strength ? b : a));

    const all = Softmax.problem(turned.z, n, r, turned.power, targets, [new Float64Array(n).fill(1 / n)]);
    let start = Softmax.origin(all);
    if (chosen.point) {
      const mean = new Float64Array(targets.length * (r + 1));
      for (const b of chosen.point.b) b.forEach((v, i) => { mean[i] += v / chosen.point.b.length; });
      start = { b: [mean], s: [Softmax.scores(all, mean)], steps: 0, products: 0 };
    }
    const last = Softmax.solve(all, start, [1 / (chosen.strength * n)], EXACT, LONG);
    const linear = spread(turned, last.b[0].map((v) => v / chosen.temperature), present, width, n, d);
    const path = trials.filter((t) => t.point).map((t) => ({
      strength: t.strength, log_loss: t.loss, log_loss_uncalibrated: t.raw, temperature: t.temperature,
    }));
    const judged = chosen.point ? Math.max(...fold) + 1 : 0;
    return { ...linear, strength: chosen.strength, temperature: chosen.temperature, logLoss: chosen.loss, path, judged };
  }

  /** Fits without each fold along a path of strengths, which ends early or goes on as the losses tell. */
  function search(turned, targets, code, fold) {
    const { z, n, r, power } = turned, made = Math.max(...fold) + 1, seen = Folds.seen(code, fold);
    if (made < 2 || !seen.some(Boolean)) return [{ strength: UNJUDGED, temperature: 1, loss: NaN, raw: NaN, point: null }];
    const weights = [], many = [];
    for (let f = 0; f < made; f++) {
      many[f] = fold.filter((g) => g !== f).length;
      weights[f] = Float64Array.from(fold, (g) => (g === f ? 0 : 1 / many[f]));
    }
    const fits = Softmax.problem(z, n, r, power, targets, weights), trials = [];
    const judge = (strength, point) => {
      const scores = [], truth = [];
      for (let i = 0; i < n; i++) {
        if (!seen[i]) continue;
        scores.push(targets.map((_, c) => point.s[fold[i]][c * n + i]));
        truth.push(code[i]);
      }
      return { strength, point, ...Calibrate.temperature(scores, truth) };
    };
    const penalty = (strength) => many.map((m) => 1 / (strength * m));
    let at = Softmax.origin(fits), before = at;
    for (let e = 0, strength = PATH[0]; strength <= MOST; e++, strength = e < PATH.length ? PATH[e] : strength * FACTOR) {
      const start = trials.length ? Softmax.follow(fits, at, before, penalty(strength)) : at;
      before = at;
      at = Softmax.solve(fits, start, penalty(strength), ROUGH, INNER);
      trials.push(judge(strength, at));
      if (stale(trials.map((t) => t.loss))) break;
    }
    const best = Math.min(...trials.map((t) => t.loss));
    while (trials[0].loss <= best && trials[0].strength > LEAST) {
      const strength = trials[0].strength / FACTOR, b = trials[0].point.b;
      at = { b, s: b.map((one) => Softmax.scores(fits, one)), steps: 0, products: 0 };
      trials.unshift(judge(strength, Softmax.solve(fits, at, penalty(strength), ROUGH, INNER)));
    }
    return trials;
  }

  function stale(losses) {
    const last = losses.length <= PATH.length ? PATIENCE : 1;
    if (losses.length <= last) return false;
    return Math.min(...losses.slice(-last)) > (1 - BETTER) * Math.min(...losses.slice(0, -last)) - NOTHING;
  }

  /** Columns that were fitted, as weight and bias of every class; see logistic._Columns.spread. */
  function spread(turned, b, present, width, n, d) {
    const wide = turned.r + 1, k = b.length / wide;
    const fitted = Array.from({ length: k }, (_, c) => ({
      way: turned.lift(b.subarray(c * wide, c * wide + turned.r)), bias: b[c * wide + turned.r],
    }));
    const pairs = k === 1 ? [-0.5, 0.5].map((half) => [fitted[0], half]) : fitted.map((one) => [one, 1]);
    const ways = pairs.map(([one, far]) => one.way.map((v) => far * v)), biases = pairs.map(([one, far]) => far * one.bias);
    if (present.length < width) {
      // Scores of the others about 0, so that a class without an example is nowhere likelier than the next example to
      // be the first of its kind.
      for (let j = 0; j < d; j++) {
        const mean = ways.reduce((sum, way) => sum + way[j], 0) / ways.length;
        for (const way of ways) way[j] -= mean;
      }
      const mean = biases.reduce((sum, v) => sum + v, 0) / biases.length;
      biases.forEach((v, c) => { biases[c] = v - mean; });
    }
    const missing = Math.log(present.length) - Math.log(n + width);
    const weight = new Float32Array(d * width), bias = new Float64Array(width).fill(missing);
    present.forEach((label, c) => {
      let off = 0;
      for (let j = 0; j < d; j++) {
        weight[j * width + label] = ways[c][j];
        off += turned.mean[j] * weight[j * width + label];
      }
      // The bias answers to the rounded weight, so a column far from 0 costs no precision.
      bias[label] = biases[c] - off;
    });
    return { weight, bias };
  }

  /** A row (d) to its scores (width), Float32Array; summed in double precision, as Python does. */
  function scores(head, row) {
    const width = head.bias.length, out = Float64Array.from(head.bias);
    for (let j = 0; j < row.length; j++) for (let c = 0; c < width; c++) out[c] += row[j] * head.weight[j * width + c];
    return Float32Array.from(out);
  }

  /** Scores as probabilities. */
  function softmax(scores) {
    const top = Math.max(...scores), e = Array.from(scores, (v) => Math.exp(v - top));
    const total = e.reduce((a, b) => a + b, 0);
    return e.map((v) => v / total);
  }

  const sigmoid = (scores) => Array.from(scores, (v) => 1 / (1 + Math.exp(-v)));

  return { train, scores, softmax, sigmoid, FOLDS };
})();
