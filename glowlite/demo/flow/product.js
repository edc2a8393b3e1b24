// The matrix products in which a pass spends its time.

// Y = W^T X, for W (inner, rows), X (inner, columns), Y (rows, columns), each row by row. Two rows and
// four columns at a time: eight sums stay in registers, and each number read serves several.
function product(W, X, inner, rows, columns) {
  const Y = new Float32Array(rows * columns);
  const evenRows = rows - (rows % 2), fours = columns - (columns % 4);
  for (let r = 0; r < evenRows; r += 2) {
    for (let q = 0; q < fours; q += 4) {
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let k = 0, w = r, x = q; k < inner; k++, w += rows, x += columns) {
        const u = W[w], v = W[w + 1], x0 = X[x], x1 = X[x + 1], x2 = X[x + 2], x3 = X[x + 3];
        a0 += u * x0; a1 += u * x1; a2 += u * x2; a3 += u * x3;
        b0 += v * x0; b1 += v * x1; b2 += v * x2; b3 += v * x3;
      }
      const y = r * columns + q, z = y + columns;
      Y[y] = a0; Y[y + 1] = a1; Y[y + 2] = a2; Y[y + 3] = a3;
      Y[z] = b0; Y[z + 1] = b1; Y[z + 2] = b2; Y[z + 3] = b3;
    }
  }
  for (let r = evenRows; r < rows; r++) {
    for (let q = 0; q < fours; q++) {
      let total = 0;
      for (let k = 0; k < inner; k++) total += W[k * rows + r] * X[k * columns + q];
      Y[r * columns + q] = total;
    }
  }
  const totals = new Float64Array(rows);
  for (let q = fours; q < columns; q++) {
    totals.fill(0);
    for (let k = 0, w = 0; k < inner; k++) {
      const x = X[k * columns + q];
      for (let r = 0; r < rows; r++, w++) totals[r] += W[w] * x;
    }
    for (let r = 0; r < rows; r++) Y[r * columns + q] = totals[r];
  }
  return Y;
}

function transposed(M, rows, columns) {
  const T = new M.constructor(M.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) T[j * rows + i] = M[i * columns + j];
  return T;
}

// W^-1 and log|det W| of a matrix (n, n), by Gauss and Jordan with pivots, in 64 bits
function inverted(W, n) {
  const A = Float64Array.from(W), B = new Float64Array(n * n);
  for (let i = 0; i < n; i++) B[i * n + i] = 1;
  let logAbsDet = 0;
  for (let c = 0; c < n; c++) {
    let pivot = c;
    for (let i = c + 1; i < n; i++) if (Math.abs(A[i * n + c]) > Math.abs(A[pivot * n + c])) pivot = i;
    logAbsDet += Math.log(Math.abs(A[pivot * n + c]));
    for (const M of [A, B]) {
      const row = M.slice(pivot * n, pivot * n + n);
      M.copyWithin(pivot * n, c * n, c * n + n);
      M.set(row, c * n);
    }
    const scale = A[c * n + c];
    for (const M of [A, B]) for (let j = 0; j < n; j++) M[c * n + j] /= scale;
    for (let i = 0; i < n; i++) {
      const factor = A[i * n + c];
      if (i === c || factor === 0) continue;
      for (const M of [A, B]) for (let j = 0; j < n; j++) M[i * n + j] -= factor * M[c * n + j];
    }
  }
  return { inverse: Float32Array.from(B), logAbsDet };
}
