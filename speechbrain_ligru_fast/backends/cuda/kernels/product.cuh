// The product of this CTA's weights with a tile's operand.
#pragma once
#include "layout.cuh"

// A lane's share of a block: words 4c to 4c + 3 of rows r and r + 8, where
// r = lane / 4 and c = lane % 4. Words (0, 1) and (2, 3) are the fragments
// of two mmas: the order of K is free as long as both operands share it.
struct Fragment {
  uint4 low, high;
};

struct Weights {
  Fragment held[HELD > 0 ? HELD : 1];
  const char *low, *high;  // this lane's words in the weights' rows
  const Fragment *kept;

  __device__ void load(const Arguments &p, int cta, char *shared) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int row = cta * UNITS + lane / 4;
    int tile = warp / K_SPLITS, split = warp % K_SPLITS;
    constexpr size_t pitch = size_t(SEGMENTS) * PADDED * ELEMENT;
    row += tile * (BACKWARD ? 16 : 8);
    low = p.weights + row * pitch + split * BLOCKS * BLOCK + lane % 4 * 16;
    high = low + (BACKWARD ? 8 : PADDED) * pitch;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      held[k] = stored(k);
      pin(held[k].low);
      pin(held[k].high);
    }
    auto mine = reinterpret_cast<Fragment *>(shared + KEPT_AT) +
                warp * KEPT * 32 + lane;
    for (int k = 0; k < KEPT; k++) mine[k * 32] = stored(HELD + k);
    kept = mine;
  }

  __device__ __forceinline__ Fragment stored(int k) const {
    return {*reinterpret_cast<const uint4 *>(low + k * BLOCK),
            *reinterpret_cast<const uint4 *>(high + k * BLOCK)};
  }
};

// Tensor cores. Several chains of sums hide an mma's latency.
template <int TYPE> struct Sums {
  static constexpr int CHAINS = ROWS == 8 ? 4 : 2;
  float sum[CHAINS][ROWS / 8][4] = {};

  static __device__ __forceinline__ void multiply(float (&d)[4], u32 a0,
                                                  u32 a1, u32 a2, u32 a3,
                                                  u32 b0, u32 b1) {
    if constexpr (TYPE == BFLOAT) {
      mma_bfloat(d, a0, a1, a2, a3, b0, b1);
    } else if constexpr (TYPE == HALF) {
      mma_half(d, a0, a1, a2, a3, b0, b1);
    } else {
      mma_tf32(d, a0, a1, a2, a3, b0, b1);
    }
  }

  __device__ __forceinline__ void add(const Fragment &a, const char *operand,
                                      int k) {
    int lane = threadIdx.x % 32;
    const char *words = operand + lane / 4 * STRIDE + lane % 4 * 16;
    int chain = 2 * k % CHAINS;
#pragma unroll
    for (int tile = 0; tile < ROWS / 8; tile++) {
      uint4 b = *reinterpret_cast<const uint4 *>(words + tile * 8 * STRIDE);
      multiply(sum[chain][tile], a.low.x, a.high.x, a.low.y, a.high.y, b.x,
               b.y);
      multiply(sum[chain + 1][tile], a.low.z, a.high.z, a.low.w, a.high.w,
               b.z, b.w);
    }
  }

  __device__ __forceinline__ float result(int half, int tile, int column) {
    float total = 0.0f;
#pragma unroll
    for (int chain = 0; chain < CHAINS; chain++) {
      total += sum[chain][tile][2 * half + column];
    }
    return total;
  }
};

// Exact float32: each lane sums its own words of K for all rows of the tile.
template <> struct Sums<FLOAT> {
  float sum[2][ROWS] = {};

  __device__ __forceinline__ void add(const Fragment &a, const char *operand,
                                      int) {
    const char *words = operand + threadIdx.x % 4 * 16;
    float low[4] = {__uint_as_float(a.low.x), __uint_as_float(a.low.y),
                    __uint_as_float(a.low.z), __uint_as_float(a.low.w)};
    float high[4] = {__uint_as_float(a.high.x), __uint_as_float(a.high.y),
                     __uint_as_float(a.high.z), __uint_as_float(a.high.w)};
#pragma unroll
    for (int n = 0; n < ROWS; n++) {
      float4 b = *reinterpret_cast<const float4 *>(words + n * STRIDE);
      sum[0][n] += low[0] * b.x + low[1] * b.y + low[2] * b.z + low[3] * b.w;
      sum[1][n] +=
          high[0] * b.x + high[1] * b.y + high[2] * b.z + high[3] * b.w;
    }
  }

  // Adds the four lanes of a row; lane c keeps columns 2c and 2c + 1.
  __device__ __forceinline__ float result(int half, int tile, int column) {
    float kept = 0.0f;
#pragma unroll
    for (int c = 0; c < 4; c++) {
      float total = sum[half][8 * tile + 2 * c + column];
      total += __shfl_xor_sync(0xffffffffu, total, 1);
      total += __shfl_xor_sync(0xffffffffu, total, 2);
      if (threadIdx.x % 4 == c) kept = total;
    }
    return kept;
  }
};

// Writes each warp's sums to (K_SPLITS, ROWS, COLUMN) floats. receive(part)
// waits for a part of the operand, and all threads come back from it together.
template <class Receive>
__device__ __forceinline__ void multiply(const Weights &weights,
                                         Receive receive, float *partial) {
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int m_tile = warp / K_SPLITS, split = warp % K_SPLITS;
  Sums<OPERAND> sums;
#pragma unroll
  for (int part = 0; part < PARTS; part++) {
    if (part > 0) {
      // Every warp has read the part before this one.
      __syncthreads();
    }
    const int begin = part * PART_BLOCKS, end = begin + PART_BLOCKS;
    const char *operand = receive(part) + split * PART_BLOCKS * BLOCK;
    operand -= begin * BLOCK;
#pragma unroll
    for (int k = 0; k < HELD; k++) {
      if (k < begin || k >= end) continue;
      sums.add(weights.held[k], operand + k * BLOCK, k);
    }
    int kept = begin > HELD ? begin : HELD;
#pragma unroll 2
    for (int k = kept; k < HELD + KEPT && k < end; k++) {
      sums.add(weights.kept[(k - HELD) * 32], operand + k * BLOCK, 0);
    }
    // What fits neither registers nor shared memory comes from L2.
    int rest = begin > HELD + KEPT ? begin : HELD + KEPT;
#pragma unroll 2
    for (int k = rest; k < end; k++) {
      sums.add(weights.stored(k), operand + k * BLOCK, 0);
    }
  }
  partial += split * ROWS * COLUMN + m_tile * 16 + lane / 4;
#pragma unroll
  for (int tile = 0; tile < ROWS / 8; tile++) {
#pragma unroll
    for (int column = 0; column < 2; column++) {
      float *place = partial + (8 * tile + lane % 4 * 2 + column) * COLUMN;
      place[0] = sums.result(0, tile, column);
      place[8] = sums.result(1, tile, column);
    }
  }
}

// Adds the splits' sums for one row of the tile and one of the CTA's gates.
__device__ __forceinline__ float gather(const float *partial, int n, int m) {
  float total = 0.0f;
#pragma unroll
  for (int split = 0; split < K_SPLITS; split++) {
    total += partial[(split * ROWS + n) * COLUMN + m];
  }
  return total;
}
