"use strict";
/**
 * Penalised logistic regression by Newton's method with conjugate gradients: the twin of newton_logistic.py, in double
 * precision throughout. Several fits to the same rows, which differ in who counts, go side by side.
 */
const Softmax = (() => {
  const OUTER = 25, TRUST = 0.1, FORCING = 0.2, LEAPS = [0, 0.5, 1, 1.5];
  const SLACK = 8 * Number.EPSILON;

  /**
   * z: Float64Array (n * r), orthogonal columns.  power: (r) squared lengths of them
   * targets: k arrays (n) of 0 and 1; k = 1 is one sigmoid, more are a softmax
   * weights: f arrays (n), of sum 1
   */
  function problem(z, n, r, power, targets, weights) {
    const wide = r + 1, rows = new Float64Array(n * wide), bend = new Float64Array(wide);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < r; j++) rows[i * wide + j] = z[i * r + j];
      rows[i * wide + r] = 1;
    }
    for (let j = 0; j < r; j++) bend[j] = power[j] / Math.max(1, n);
    bend[r] = 1;
    return { rows, n, wide, bend, targets, weights, k: targets.length };
  }

  const zeros = (count, size) => Array.from({ length: count }, () => new Float64Array(size));

  /** All coefficients 0. A point holds coefficients b and their scores s, an array a fit. */
  function origin(p) {
    return { b: zeros(p.weights.length, p.k * p.wide), s: zeros(p.weights.length, p.k * p.n), steps: 0, products: 0 };
  }

  /** Coefficients (k * wide) to scores (k * n). */
  function scores(p, b) {
    const { rows, n, wide, k } = p, s = new Float64Array(k * n);
    for (let i = 0, at = 0; i < n; i++, at += wide) {
      for (let c = 0, from = 0; c < k; c++, from += wide) {
        let sum = 0;
        for (let j = 0; j < wide; j++) sum += rows[at + j] * b[from + j];
        s[c * n + i] = sum;
      }
    }
    return s;
  }

  /** (k * n) to (k * wide), the other way. */
  function pull(p, byRow) {
    const { rows, n, wide, k } = p, out = new Float64Array(k * wide);
    for (let i = 0, at = 0; i < n; i++, at += wide) {
      for (let c = 0, to = 0; c < k; c++, to += wide) {
        const v = byRow[c * n + i];
        if (v !== 0) for (let j = 0; j < wide; j++) out[to + j] += v * rows[at + j];
      }
    }
    return out;
  }

  /** Weighted log-loss in nats of one fit, and its probabilities (k * n). */
  function loss(p, f, s) {
    const { n, k, targets } = p, w = p.weights[f], share = new Float64Array(k * n);
    let sum = 0;
    for (let i = 0; i < n; i++) {
      if (k === 1) {
        const v = s[i], e = Math.exp(-Math.abs(v));
        share[i] = (v >= 0 ? 1 : e) / (1 + e);
        sum += w[i] * (Math.log1p(e) + Math.max(v, 0) - targets[0][i] * v);
        continue;
      }
      let top = -Infinity, total = 0, right = 0;
      for (let c = 0; c < k; c++) top = Math.max(top, s[c * n + i]);
      for (let c = 0; c < k; c++) {
        const e = Math.exp(s[c * n + i] - top);
        share[c * n + i] = e;
        total += e;
        right += targets[c][i] * (s[c * n + i] - top);
      }
      for (let c = 0; c < k; c++) share[c * n + i] /= total;
      sum += w[i] * (Math.log(total) - right);
    }
    return [sum, share];
  }

  /** What the Hessian of the loss makes of a step that moves scores by ds. */
  function bent(p, f, share, ds) {
    const { n, k } = p, w = p.weights[f], out = new Float64Array(k * n);
    for (let i = 0; i < n; i++) {
      let all = 0;
      for (let c = 0; c < k; c++) all += share[c * n + i] * ds[c * n + i];
      for (let c = 0; c < k; c++) {
        const at = c * n + i, mine = share[at] * ds[at];
        out[at] = w[i] * (mine - share[at] * (k === 1 ? mine : all));
      }
    }
    return out;
  }

  const dot = (a, b) => { let sum = 0; for (let i = 0; i < a.length; i++) sum += a[i] * b[i]; return sum; };

  function penalised(p, b, penalty) {
    let sum = 0;
    for (let c = 0; c < p.k; c++) for (let j = 0; j < p.wide - 1; j++) sum += b[c * p.wide + j] ** 2;
    return (penalty / 2) * sum;
  }

  /** a + far * b, without changing either. */
  function along(a, far, b) {
    const out = new Float64Array(a.length);
    for (let i = 0; i < a.length; i++) out[i] = a[i] + far * b[i];
    return out;
  }

  /** A start for the next strength: on from `before` through `now`, each fit as far as pays. */
  function follow(p, now, before, penalty) {
    const b = [], s = [];
    now.b.forEach((mine, f) => {
      const db = along(mine, -1, before.b[f]), ds = along(now.s[f], -1, before.s[f]);
      let least = Infinity, best = 0;
      for (const leap of LEAPS) {
        const value = loss(p, f, along(now.s[f], leap, ds))[0] + penalised(p, along(mine, leap, db), penalty[f]);
        if (value < least) [least, best] = [value, leap];
      }
      b.push(along(mine, best, db));
      s.push(along(now.s[f], best, ds));
    });
    return { b, s, steps: 0, products: 0 };
  }

  /**
   * The least of loss + penalty / 2 * |b|^2 (without intercepts), each fit by itself, from `start`.
   * tolerance: stops when a step is foreseen to lower no fit by more than this share of its value
   * inner: products with the rows that a step may take
   */
  function solve(p, start, penalty, tolerance, inner) {
    const many = p.weights.length, b = [...start.b], s = [...start.s], value = [], share = [];
    for (let f = 0; f < many; f++) {
      const [sum, mine] = loss(p, f, s[f]);
      value[f] = sum + penalised(p, b[f], penalty[f]);
      share[f] = mine;
    }
    let last = Infinity, steps = 0, products = 0;
    while (steps < OUTER) {
      steps++;
      let foreseen = 0;
      for (let f = 0; f < many; f++) {
        const slope = slopeOf(p, f, share[f], b[f], penalty[f]);
        const step = newton(p, f, slope, share[f], penalty[f], tolerance * value[f], inner);
        products = Math.max(products, step.products);
        const gain = -dot(slope, step.db);
        let length = 1, kept = null;
        for (let tries = 0; tries < 12; tries++, length /= 3) {
          const to = along(b[f], length, step.db), there = along(s[f], length, step.ds);
          const [sum, mine] = loss(p, f, there);
          const next = sum + penalised(p, to, penalty[f]);
          kept = [to, there, mine, next];
          if (next <= value[f] - 1e-4 * length * gain + SLACK * (1 + Math.abs(value[f]))) break;
        }
        [b[f], s[f], share[f], value[f]] = kept;
        foreseen = Math.max(foreseen, Math.max(step.left / 2, (TRUST * gain) / 2) / Math.max(value[f], 1e-6));
      }
      // Rounding keeps a nearly perfect fit from ever getting there: no progress over two steps ends it too.
      if (foreseen <= tolerance || (steps > 3 && foreseen > last / 2)) break;
      last = foreseen;
    }
    return { b, s, steps: start.steps + steps, products: start.products + products };
  }

  function slopeOf(p, f, share, b, penalty) {
    const off = new Float64Array(p.k * p.n), w = p.weights[f];
    for (let c = 0; c < p.k; c++) {
      for (let i = 0; i < p.n; i++) off[c * p.n + i] = (share[c * p.n + i] - p.targets[c][i]) * w[i];
    }
    const slope = pull(p, off);
    for (let c = 0; c < p.k; c++) for (let j = 0; j < p.wide - 1; j++) slope[c * p.wide + j] += penalty * b[c * p.wide + j];
    return slope;
  }

  /**
   * Newton's step db and the scores ds that it moves, by preconditioned conjugate gradients.
   * The preconditioner takes the Hessian for diagonal: exact directions of z, one mean p (1 - p) a class.
   */
  function newton(p, f, slope, share, penalty, floor, inner) {
    const { n, k, wide, bend } = p, w = p.weights[f], size = k * wide;
    const least = Number.EPSILON, scale = new Float64Array(size);
    for (let c = 0; c < k; c++) {
      let mean = 0;
      for (let i = 0; i < n; i++) mean += share[c * n + i] * (1 - share[c * n + i]) * w[i];
      for (let j = 0; j < wide; j++) {
        scale[c * wide + j] = 1 / Math.max(mean * bend[j] + (j < wide - 1 ? penalty : least), 1e-300);
      }
    }
    const db = new Float64Array(size), ds = new Float64Array(k * n);
    const rest = slope.map((v) => -v), way = new Float64Array(size);
    for (let i = 0; i < size; i++) way[i] = scale[i] * rest[i];
    let square = dot(rest, way), products = 0;
    const goal = Math.max(FORCING ** 2 * square, floor);
    while (square > 0 && products < inner) {
      const moved = scores(p, way), turned = pull(p, bent(p, f, share, moved));
      for (let c = 0; c < k; c++) {
        for (let j = 0; j < wide; j++) turned[c * wide + j] += (j < wide - 1 ? penalty : least) * way[c * wide + j];
      }
      const curve = dot(way, turned);
      products++;
      if (!(curve > 0)) break;
      const far = square / curve;
      let next = 0;
      for (let i = 0; i < size; i++) {
        db[i] += far * way[i];
        rest[i] -= far * turned[i];
        next += rest[i] * scale[i] * rest[i];
      }
      for (let i = 0; i < ds.length; i++) ds[i] += far * moved[i];
      const share2 = next / square;
      for (let i = 0; i < size; i++) way[i] = scale[i] * rest[i] + share2 * way[i];
      square = next;
      if (!(square > goal)) break;
    }
    return { db, ds, left: square, products };
  }

  return { problem, origin, scores, follow, solve };
})();
