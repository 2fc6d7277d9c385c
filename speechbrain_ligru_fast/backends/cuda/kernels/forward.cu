// The recurrence over all steps, for every tile of rows.
#include "exchange.cuh"
#include "numbers.cuh"
#include "product.cuh"
#include "rows.cuh"

extern "C" __global__ void __launch_bounds__(THREADS, 1)
    ligru_scan(Arguments p) {
  char *shared = shared_memory();
  int cta = blockIdx.x % GROUP, group = blockIdx.x / GROUP;
  int local = threadIdx.x % UNITS, unit = cta * UNITS + local;
  bool real = unit < p.hidden;
  // An m tile's 16 rows are the candidates of 8 units, then their gates.
  int gate_row = local / 8 * 16 + local % 8;
  auto partial = reinterpret_cast<float *>(shared + PARTIAL_AT);
  Weights weights;
  weights.load(p, cta, shared);
  float scale_a = 1.0f, scale_z = 1.0f, shift_a = 0.0f, shift_z = 0.0f;
  if (p.ln_weight && real) {
    scale_a = p.ln_weight[unit];
    scale_z = p.ln_weight[p.hidden + unit];
  }
  if (p.ln_bias && real) {
    shift_a = p.ln_bias[unit];
    shift_z = p.ln_bias[p.hidden + unit];
  }
  Exchange exchange(p, shared, group, cta);
  int tiles = (p.directions * p.batch + ROWS - 1) / ROWS;
  for (int tile = group; tile < tiles; tile += p.groups) {
    int steps = tile_steps(p, tile);
    if (steps == 0) continue;
    float h[OWNED], mask[OWNED], next_a[OWNED], next_z[OWNED];
    Row rows[OWNED];
#pragma unroll
    for (int i = 0; i < OWNED; i++) rows[i] = Row(p, tile, owned(i));
    auto stage = [&]() {
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        int n = owned(i);
        if (n < ROWS) {
          store<OPERAND>(shared + STAGE_AT, n * UNITS + local, h[i]);
        }
      }
      __syncthreads();
    };
    auto fetch = [&](int step) {
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        const Row &r = rows[i];
        if (real && step < r.length) {
          size_t at = r.shared_frame(p, step) * 2 * p.hidden + unit;
          next_a[i] = load<IO>(p.input, at);
          next_z[i] = load<IO>(p.input, at + p.hidden);
        }
      }
    };
#pragma unroll
    for (int i = 0; i < OWNED; i++) {
      int r = rows[i].row;
      size_t at = static_cast<size_t>(r) * p.hidden + unit;
      bool exists = real && r >= 0;
      h[i] = exists && p.h0 ? p.h0[at] : 0.0f;
      mask[i] = exists && p.mask ? p.mask[at] : 1.0f;
      next_a[i] = next_z[i] = 0.0f;
    }
    stage();
    exchange.send_stage();
    fetch(0);
    for (int step = 0; step < steps; step++) {
      float a[OWNED], z[OWNED], normed_a[OWNED], normed_z[OWNED];
      float rstd[OWNED];
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        a[i] = next_a[i];
        z[i] = next_z[i];
      }
      fetch(step + 1);
      multiply(
          weights, [&](int part) { return exchange.receive(part); }, partial);
      __syncthreads();
      if constexpr (LAYERNORM) {
        float2 sums[OWNED];
#pragma unroll
        for (int i = 0; i < OWNED; i++) {
          int n = owned(i);
          normed_a[i] = normed_z[i] = 0.0f;
          if (n < ROWS) {
            normed_a[i] = gather(partial, n, gate_row);
            normed_z[i] = gather(partial, n, gate_row + 8);
          }
          sums[i] = make_float2(
              normed_a[i] + normed_z[i],
              normed_a[i] * normed_a[i] + normed_z[i] * normed_z[i]);
        }
        exchange.sum_rows(sums);
#pragma unroll
        for (int i = 0; i < OWNED; i++) {
          float mean = sums[i].x / (2 * p.hidden);
          float variance = sums[i].y / (2 * p.hidden) - mean * mean;
          rstd[i] = 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + p.eps);
          normed_a[i] = (normed_a[i] - mean) * rstd[i];
          normed_z[i] = (normed_z[i] - mean) * rstd[i];
          a[i] += normed_a[i] * scale_a + shift_a;
          z[i] += normed_z[i] * scale_z + shift_z;
        }
      } else {
#pragma unroll
        for (int i = 0; i < OWNED; i++) {
          int n = owned(i);
          if (n < ROWS) {
            a[i] += gather(partial, n, gate_row);
            z[i] += gather(partial, n, gate_row + 8);
          }
        }
      }
      float poison = exchange.poison();
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        z[i] = sigmoid(z[i]);
        if (real && step < rows[i].length) {
          float candidate = activation(a[i]) * mask[i];
          h[i] = (z[i] * h[i] + (1.0f - z[i]) * candidate) * poison;
        }
      }
      // The group waits for the state, nobody for what is stored below.
      stage();
      if (step + 1 < steps) exchange.send_stage();
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        const Row &r = rows[i];
        if (!real || step >= r.length) continue;
        store<IO>(p.output, r.joined(p, step) + unit, h[i]);
        if (!p.gates) continue;
        size_t at = r.own_frame(p, step) * 2 * p.hidden + unit;
        p.gates[at] = a[i];
        p.gates[at + p.hidden] = z[i];
        if constexpr (LAYERNORM) {
          p.normed[at] = normed_a[i];
          p.normed[at + p.hidden] = normed_z[i];
          if (unit == 0) p.rstd[r.own_frame(p, step)] = rstd[i];
        }
      }
    }
  }
  exchange.finish();
}
