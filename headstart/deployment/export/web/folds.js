"use strict";
/** Who is held out when a head is judged while it is chosen: the twin of cross_validation.py, drawn from other random numbers. */
const Folds = (() => {
  /** Numbers in 0..1 that are the same for the same seed. */
  function random(seed) {
    let state = seed >>> 0 || 1;
    return () => {
      // xorshift32 (Marsaglia 2003): enough to deal cards.
      state ^= state << 13; state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5; state >>>= 0;
      return state / 4294967296;
    };
  }

  function permutation(n, draw) {
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = Math.floor(draw() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  /**
   * The fold of each row; groups stay whole. All 0 where fewer than two folds can be made.
   * truth: class numbers.  groups: a name a row, "" for none.  count: folds at most
   */
  function deal(truth, groups, count, seed) {
    const n = truth.length, order = permutation(n, random(seed));
    const sizes = [];
    for (const c of truth) sizes[c] = (sizes[c] || 0) + 1;
    const units = groups.map((g, i) => g || `\0${i}`);
    const distinct = new Set(units).size;
    count = Math.min(count, distinct, Math.max(2, ...sizes.filter(Boolean)));
    if (count < 2) return new Array(n).fill(0);
    if (distinct < n) return dealGroups(truth, units, count, order, sizes);
    const fold = new Array(n);
    order.map((row, i) => [truth[row], i, row]).sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .forEach(([, , row], i) => { fold[row] = i % count; });
    return fold;
  }

  /** Largest groups first, each to the fold that has least of its classes. */
  function dealGroups(truth, units, count, order, sizes) {
    const members = new Map();
    for (const row of order) members.set(units[row], [...(members.get(units[row]) || []), row]);
    const filled = Array.from({ length: count }, () => new Map()), size = new Array(count).fill(0);
    const fold = new Array(truth.length);
    for (const rows of [...members.values()].sort((a, b) => b.length - a.length)) {
      const kinds = new Map();
      for (const row of rows) kinds.set(truth[row], (kinds.get(truth[row]) || 0) + 1);
      let place = 0, least = [Infinity, Infinity];
      for (let f = 0; f < count; f++) {
        let crowded = 0;
        for (const [c, many] of kinds) crowded += (filled[f].get(c) || 0) * (many / sizes[c]);
        const here = [Math.round(crowded * 1e9), size[f]];
        if (here[0] < least[0] || (here[0] === least[0] && here[1] < least[1])) [place, least] = [f, here];
      }
      for (const row of rows) fold[row] = place;
      for (const [c, many] of kinds) filled[place].set(c, (filled[place].get(c) || 0) + many);
      size[place] += rows.length;
    }
    return fold;
  }

  /** Whether a row's class occurs outside of its fold; if not, it cannot be judged. */
  function seen(truth, fold) {
    return truth.map((c, i) => truth.some((other, j) => other === c && fold[j] !== fold[i]));
  }

  return { deal, seen };
})();
