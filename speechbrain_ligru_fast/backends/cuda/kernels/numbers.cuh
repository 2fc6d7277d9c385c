// Conversions and the pointwise functions.
#pragma once
#include "layout.cuh"

template <int TYPE> __device__ __forceinline__ float load(const void *base,
                                                          size_t index) {
  if constexpr (TYPE == HALF) {
    return half_to_float(static_cast<const u16 *>(base)[index]);
  } else if constexpr (TYPE == BFLOAT) {
    u32 bits = static_cast<const u16 *>(base)[index];
    return __uint_as_float(bits << 16);
  } else {
    return static_cast<const float *>(base)[index];
  }
}

template <int TYPE>
__device__ __forceinline__ void store(void *base, size_t index, float value) {
  if constexpr (TYPE == HALF) {
    static_cast<u16 *>(base)[index] = float_to_half(value);
  } else if constexpr (TYPE == BFLOAT) {
    static_cast<u16 *>(base)[index] = float_to_bfloat(value);
  } else if constexpr (TYPE == TF32) {
    static_cast<float *>(base)[index] = round_to_tf32(value);
  } else {
    static_cast<float *>(base)[index] = value;
  }
}

__device__ __forceinline__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

// A NaN stays one, as in torch: hence no fmaxf.
__device__ __forceinline__ float activation(float a) {
  if (ACTIVATION == TANH) return tanhf(a);
  if (ACTIVATION == SIN) return sinf(a);
  if (ACTIVATION == LEAKY_RELU) return a < 0.0f ? LEAKY_SLOPE * a : a;
  return a < 0.0f ? 0.0f : a;
}

__device__ __forceinline__ float activation_gradient(float a) {
  if (ACTIVATION == TANH) {
    // 1 - tanh(a) ** 2 cancels away from 0.
    float e = expf(-2.0f * fabsf(a));
    return 4.0f * e / ((1.0f + e) * (1.0f + e));
  }
  if (ACTIVATION == SIN) return cosf(a);
  if (ACTIVATION == LEAKY_RELU) return a > 0.0f ? 1.0f : LEAKY_SLOPE;
  return a > 0.0f ? 1.0f : 0.0f;
}
