"use strict";
/** Eigenvalues and eigenvectors of a symmetric matrix: Householder's tridiagonal form, then implicit QL. */
const Eigen = (() => {
  /**
   * a: Float64Array (n * n), symmetric, overwritten.
   * Gives {values (n), rows (n * n)}: row i is the vector of value i, in no order. O(n^3).
   * Source: Golub and Van Loan, Matrix Computations, sections 8.3.1 and 8.3.3.
   */
  function symmetric(a, n) {
    const values = new Float64Array(n), beside = new Float64Array(n);
    const rows = tridiagonal(a, n, values, beside);
    diagonal(values, beside, rows, n);
    return { values, rows };
  }

  /** Leaves the diagonal in `values` and what stands beside it in `beside`; gives the turned axes as rows. */
  function tridiagonal(a, n, values, beside) {
    const mirrors = [], scales = [], pulled = new Float64Array(n);
    for (let k = 0; k < n - 2; k++) {
      const first = k + 1, v = new Float64Array(n);
      let size = 0;
      for (let i = first; i < n; i++) { v[i] = a[i * n + k]; size += v[i] * v[i]; }
      size = Math.sqrt(size);
      const head = v[first] > 0 ? -size : size;
      v[first] -= head;
      let length = 0;
      for (let i = first; i < n; i++) length += v[i] * v[i];
      const scale = length > 0 ? 2 / length : 0;
      values[k] = a[k * n + k];
      beside[k] = scale ? head : a[first * n + k];
      mirrors.push(v);
      scales.push(scale);
      if (!scale) continue;
      let meet = 0;
      for (let i = first; i < n; i++) {
        let sum = 0;
        for (let j = first, at = i * n; j < n; j++) sum += a[at + j] * v[j];
        pulled[i] = scale * sum;
        meet += pulled[i] * v[i];
      }
      for (let i = first; i < n; i++) pulled[i] -= 0.5 * scale * meet * v[i];
      for (let i = first; i < n; i++) {
        const vi = v[i], wi = pulled[i], at = i * n;
        for (let j = first; j < n; j++) a[at + j] -= vi * pulled[j] + wi * v[j];
      }
    }
    if (n > 1) { values[n - 2] = a[(n - 2) * n + n - 2]; beside[n - 2] = a[(n - 1) * n + n - 2]; }
    values[n - 1] = a[n * n - 1];
    return axes(mirrors, scales, n);
  }

  /** The product of all mirrors, turned so that each axis is a row. */
  function axes(mirrors, scales, n) {
    const q = new Float64Array(n * n), met = new Float64Array(n);
    for (let i = 0; i < n; i++) q[i * n + i] = 1;
    for (let k = mirrors.length - 1; k >= 0; k--) {
      const v = mirrors[k], scale = scales[k], first = k + 1;
      if (!scale) continue;
      met.fill(0);
      for (let i = first; i < n; i++) for (let j = first, at = i * n; j < n; j++) met[j] += v[i] * q[at + j];
      for (let i = first; i < n; i++) {
        const far = scale * v[i], at = i * n;
        for (let j = first; j < n; j++) q[at + j] -= far * met[j];
      }
    }
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        const kept = q[i * n + j];
        q[i * n + j] = q[j * n + i];
        q[j * n + i] = kept;
      }
    }
    return q;
  }

  /** Turns away what stands beside the diagonal, one value after the other; the rows turn with it. */
  function diagonal(values, beside, rows, n) {
    for (let low = 0; low < n; low++) {
      for (let turns = 0; turns < 60; turns++) {
        let high = low;
        while (high < n - 1) {
          const near = Math.abs(values[high]) + Math.abs(values[high + 1]);
          if (Math.abs(beside[high]) <= Number.EPSILON * near) break;
          high++;
        }
        if (high === low) break;
        sweep(values, beside, rows, n, low, high);
      }
    }
  }

  /** One QL step between `low` and `high`, shifted by the eigenvalue of the upper corner (Wilkinson). */
  function sweep(values, beside, rows, n, low, high) {
    const half = (values[low + 1] - values[low]) / (2 * beside[low]);
    const root = Math.hypot(half, 1);
    let carry = values[high] - values[low] + beside[low] / (half + (half >= 0 ? root : -root));
    let sine = 1, cosine = 1, moved = 0;
    for (let i = high - 1; i >= low; i--) {
      const off = sine * beside[i], along = cosine * beside[i], length = Math.hypot(off, carry);
      beside[i + 1] = length;
      if (length === 0) { values[i + 1] -= moved; beside[high] = 0; return; }
      sine = off / length;
      cosine = carry / length;
      const base = values[i + 1] - moved, gap = (values[i] - base) * sine + 2 * cosine * along;
      moved = sine * gap;
      values[i + 1] = base + moved;
      carry = cosine * gap - along;
      for (let j = 0, a = i * n, b = a + n; j < n; j++) {
        const one = rows[a + j], other = rows[b + j];
        rows[b + j] = sine * one + cosine * other;
        rows[a + j] = cosine * one - sine * other;
      }
    }
    values[low] -= moved;
    beside[low] = carry;
    beside[high] = 0;
  }

  return { symmetric };
})();
