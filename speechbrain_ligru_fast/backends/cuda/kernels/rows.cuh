// Which row, unit and frame a thread works on.
#pragma once
#include "layout.cuh"

struct Row {
  int row = -1;    // direction * batch + utterance, -1 beyond the last
  int length = 0;  // frames of its utterance, 0 beyond the last row
  bool backwards = false;

  Row() = default;
  __device__ Row(const Arguments &p, int tile, int n) {
    int index = tile * ROWS + n;
    if (n >= ROWS || index >= p.directions * p.batch) return;
    row = index;
    backwards = row >= p.batch;
    int utterance = backwards ? row - p.batch : row;
    length = p.lengths ? static_cast<int>(p.lengths[utterance]) : p.steps;
  }

  __device__ size_t frame(int step) const {
    return backwards ? length - 1 - step : step;
  }

  // Index of a frame in a (B, T) and in a (D, B, T) tensor.
  __device__ size_t shared_frame(const Arguments &p, int step) const {
    int utterance = backwards ? row - p.batch : row;
    return static_cast<size_t>(utterance) * p.steps + frame(step);
  }
  __device__ size_t own_frame(const Arguments &p, int step) const {
    return static_cast<size_t>(row) * p.steps + frame(step);
  }
  // Index of its first unit in a (B, T, D * H) tensor.
  __device__ size_t joined(const Arguments &p, int step) const {
    return (shared_frame(p, step) * p.directions + backwards) * p.hidden;
  }
};

// Steps until the longest row of a tile ends; the same in every thread.
__device__ inline int tile_steps(const Arguments &p, int tile) {
  int longest = 0;
  for (int n = 0; n < ROWS; n++) {
    int length = Row(p, tile, n).length;
    longest = length > longest ? length : longest;
  }
  return longest;
}

// Position in the tile of the i-th row that a thread holds.
__device__ __forceinline__ int owned(int i) {
  return threadIdx.x / UNITS + i * LANE_ROWS;
}
