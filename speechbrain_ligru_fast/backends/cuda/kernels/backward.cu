// Backpropagation through time down to the gates, for every tile of rows.
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
  auto partial = reinterpret_cast<float *>(shared + PARTIAL_AT);
  Weights weights;
  weights.load(p, cta, shared);
  float scale_a = 1.0f, scale_z = 1.0f;
  if (p.ln_weight && real) {
    scale_a = p.ln_weight[unit];
    scale_z = p.ln_weight[p.hidden + unit];
  }
  Exchange exchange(p, shared, group, cta);
  int tiles = (p.directions * p.batch + ROWS - 1) / ROWS;
  for (int tile = group; tile < tiles; tile += p.groups) {
    int steps = tile_steps(p, tile);
    if (steps == 0) continue;
    float carry[OWNED], mask[OWNED];
    // What the forward saved of the step that comes next.
    float next_grad[OWNED], next_a[OWNED], next_z[OWNED], next_h[OWNED];
    float next_na[OWNED], next_nz[OWNED], next_rstd[OWNED];
    Row rows[OWNED];
#pragma unroll
    for (int i = 0; i < OWNED; i++) rows[i] = Row(p, tile, owned(i));
    auto fetch = [&](int step) {
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        const Row &r = rows[i];
        if (!real || step < 0 || step >= r.length) continue;
        size_t frame = r.own_frame(p, step);
        size_t at = frame * 2 * p.hidden + unit;
        next_grad[i] = load<IO>(p.input, r.joined(p, step) + unit);
        next_h[i] = load<IO>(p.previous, frame * p.hidden + unit);
        next_a[i] = p.gates[at];
        next_z[i] = p.gates[at + p.hidden];
        if constexpr (LAYERNORM) {
          next_na[i] = p.normed[at];
          next_nz[i] = p.normed[at + p.hidden];
          next_rstd[i] = p.rstd[frame];
        }
      }
    };
#pragma unroll
    for (int i = 0; i < OWNED; i++) {
      int r = rows[i].row;
      carry[i] = 0.0f;
      mask[i] = 1.0f;
      if (real && r >= 0 && p.mask) {
        mask[i] = p.mask[static_cast<size_t>(r) * p.hidden + unit];
      }
    }
    fetch(steps - 1);
    for (int step = steps - 1; step >= 0; step--) {
      float kept[OWNED], da[OWNED], dz[OWNED], pa[OWNED], pz[OWNED];
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        bool active = real && step < rows[i].length;
        kept[i] = carry[i];
        da[i] = dz[i] = 0.0f;
        if (active) {
          float z = next_z[i], dh = next_grad[i] + carry[i];
          float candidate = activation(next_a[i]);
          float slope = activation_gradient(next_a[i]);
          da[i] = dh * (1.0f - z) * slope * mask[i];
          dz[i] = dh * (next_h[i] - candidate * mask[i]) * z * (1.0f - z);
          kept[i] = z * dh;
        }
        pa[i] = da[i];
        pz[i] = dz[i];
      }
      if constexpr (LAYERNORM) {
        float2 sums[OWNED];
        float na[OWNED], nz[OWNED], rstd[OWNED];
#pragma unroll
        for (int i = 0; i < OWNED; i++) {
          bool active = real && step < rows[i].length;
          na[i] = active ? next_na[i] : 0.0f;
          nz[i] = active ? next_nz[i] : 0.0f;
          rstd[i] = active ? next_rstd[i] : 0.0f;
          pa[i] *= scale_a;
          pz[i] *= scale_z;
          sums[i] =
              make_float2(pa[i] + pz[i], pa[i] * na[i] + pz[i] * nz[i]);
        }
        exchange.sum_rows(sums);
#pragma unroll
        for (int i = 0; i < OWNED; i++) {
          float mean = sums[i].x / (2 * p.hidden);
          float along = sums[i].y / (2 * p.hidden);
          pa[i] = rstd[i] * (pa[i] - mean - na[i] * along);
          pz[i] = rstd[i] * (pz[i] - mean - nz[i] * along);
        }
      }
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        int n = owned(i);
        if (n < ROWS) {
          int at = n * UNITS + local;
          store<OPERAND>(shared + STAGE_AT, at, pa[i]);
          store<OPERAND>(shared + STAGE_AT, at + ROWS * UNITS, pz[i]);
        }
      }
      __syncthreads();
      exchange.send_stage();
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        const Row &r = rows[i];
        if (!real || step >= r.length) continue;
        size_t at = r.own_frame(p, step) * 2 * p.hidden + unit;
        p.dgates[at] = da[i];
        p.dgates[at + p.hidden] = dz[i];
        if constexpr (LAYERNORM) {
          p.dprojected[at] = pa[i];
          p.dprojected[at + p.hidden] = pz[i];
        }
      }
      fetch(step - 1);
      multiply(
          weights, [&](int part) { return exchange.receive(part); }, partial);
      __syncthreads();
      float poison = exchange.poison();
#pragma unroll
      for (int i = 0; i < OWNED; i++) {
        int n = owned(i);
        if (n < ROWS && step < rows[i].length) {
          carry[i] = (kept[i] + gather(partial, n, local)) * poison;
        }
      }
    }
#pragma unroll
    for (int i = 0; i < OWNED; i++) {
      int r = rows[i].row;
      if (real && r >= 0) {
        p.dh0[static_cast<size_t>(r) * p.hidden + unit] = carry[i];
      }
    }
  }
  exchange.finish();
}
