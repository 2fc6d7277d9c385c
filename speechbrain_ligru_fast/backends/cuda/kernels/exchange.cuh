// All CTAs of a group give each other what they computed in a step.
//
// An exchange is numbered, and its number's parity names one of two buffers.
// Two suffice: a CTA sends number e + 1 after all its threads have read
// number e, and a peer sends e + 2 after it has received every e + 1.
#pragma once
#include "rows.cuh"

class Exchange {
  const Arguments &p;
  char *shared;
  int group, cta;
  u32 number = 0, stat_number = 0;
  bool broken = false;

  __device__ u64 *barrier(int index) const {
    return reinterpret_cast<u64 *>(shared + BARRIER_AT) + index;
  }

  // True once a wait has taken too long; later waits then don't wait.
  __device__ bool give_up(u32 &polls) {
    if (broken || ++polls > p.spins) {
      if (!broken) report(p.error, p.ticket);
      broken = true;
    }
    return broken;
  }

  // Arms a barrier's next phase; a phase that never ended has no next one.
  __device__ void expect(int index, u32 bytes) {
    if (threadIdx.x == 0 && !broken) barrier_expect(barrier(index), bytes);
  }

  __device__ void wait(int index, u32 count) {
    u32 polls = 0;
    while (!barrier_test(barrier(index), count / 2 % 2)) {
      if (give_up(polls)) return;
    }
  }

  // Copies pairs of tagged words to shared memory, several in flight; from()
  // says where the index-th pair is.
  template <int PAIRS, class From>
  __device__ void receive_words(const char *words, char *target, int pitch,
                                int stride, u32 epoch, From from) {
    constexpr int BATCH = 8;
    u32 polls = 0;
    for (int first = threadIdx.x; first < PAIRS; first += BATCH * THREADS) {
      uint4 pair[BATCH];
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        int index = first + i * THREADS;
        if (index < PAIRS) pair[i] = peek(words + from(index) * 16);
      }
#pragma unroll
      for (int i = 0; i < BATCH; i++) {
        int index = first + i * THREADS;
        if (index >= PAIRS) continue;
        while (pair[i].y != epoch || pair[i].w != epoch) {
          if (give_up(polls)) break;
          pair[i] = peek(words + from(index) * 16);
        }
        char *place = target + index / pitch * stride + index % pitch * 8;
        *reinterpret_cast<uint2 *>(place) = make_uint2(pair[i].x, pair[i].z);
      }
    }
    // One thread's lost word spoils what all of them read.
    broken = __syncthreads_or(broken);
  }

  __device__ char *words(u32 count) const {
    constexpr size_t size = size_t(ROWS) * SEGMENTS * PADDED * ELEMENT * 2;
    return p.words + (group * 2 + count % 2) * size;
  }
  __device__ char *stat_words(u32 count) const {
    constexpr size_t size = size_t(ROWS) * GROUP * PIECES * 16;
    return p.stat_words + (group * 2 + count % 2) * size;
  }

 public:
  __device__ Exchange(const Arguments &p, char *shared, int group, int cta)
      : p(p), shared(shared), group(group), cta(cta) {
    if constexpr (CLUSTER) {
      if (threadIdx.x == 0) {
        for (int i = 0; i < 4; i++) barrier_init(barrier(i));
      }
      cluster_sync();
    }
  }

  // What a result must be multiplied with: NaN once a wait has failed.
  __device__ float poison() const {
    return broken ? __uint_as_float(0x7fc00000u) : 1.0f;
  }

  // Sends the staged (SEGMENTS, ROWS, UNITS) elements to the whole group.
  __device__ void send_stage() {
    constexpr int VECTORS = STAGE_BYTES / 16;
    constexpr int ROW_VECTORS = UNITS * ELEMENT / 16;
    u32 index = number % 2;
    if constexpr (CLUSTER) {
      expect(index, GROUP * STAGE_BYTES);
    }
    constexpr int SENDS = CLUSTER ? VECTORS * GROUP : VECTORS;
    for (int i = threadIdx.x; i < SENDS; i += THREADS) {
      int vector = i % VECTORS, row = vector / ROW_VECTORS;
      int offset = (row / ROWS * PADDED + cta * UNITS) * ELEMENT +
                   vector % ROW_VECTORS * 16;
      row %= ROWS;
      uint4 v = reinterpret_cast<uint4 *>(shared + STAGE_AT)[vector];
      if constexpr (CLUSTER) {
        char *place = shared + OPERAND_AT + index * OPERAND_BYTES +
                      row * STRIDE + offset;
        send(place, v, barrier(index), i / VECTORS);
      } else {
        constexpr int pitch = SEGMENTS * PADDED * ELEMENT;
        char *place = words(number) + (row * pitch + offset) * 2;
        publish(place, v.x, v.y, number + 1);
        publish(place + 16, v.z, v.w, number + 1);
      }
    }
  }

  // Waits for a part of the group's elements; returns (ROWS, STRIDE) bytes:
  // of each row the blocks that the K splits multiply in this part.
  __device__ const char *receive(int part) {
    char *operand = shared + OPERAND_AT;
    if constexpr (CLUSTER) {
      operand += number % 2 * OPERAND_BYTES;
      wait(number % 2, number);
    } else {
      constexpr int block = BLOCK / 8;
      constexpr int pitch = K_SPLITS * PART_BLOCKS * block;
      receive_words<ROWS * pitch>(
          words(number), operand, pitch, STRIDE, number + 1, [=](int index) {
            if constexpr (PARTS == 1) return index;
            int at = index / block, split = at / PART_BLOCKS;
            // The splits of all rows follow each other.
            return (split * BLOCKS + part * PART_BLOCKS + at % PART_BLOCKS) *
                       block +
                   index % block;
          });
    }
    if (part == PARTS - 1) number++;
    return operand;
  }

  // Sums a pair over every unit of the group, for each of a thread's rows.
  __device__ void sum_rows(float2 (&value)[OWNED]) {
    int lane = threadIdx.x % 32, unit = threadIdx.x % UNITS;
    int piece = cta * PIECES + unit / SPAN;
    u32 index = stat_number % 2;
    char *stats = shared + STAT_AT + (CLUSTER ? index * STAT_BYTES : 0);
    if constexpr (CLUSTER) {
      expect(2 + index, STAT_BYTES);
    }
#pragma unroll
    for (int i = 0; i < OWNED; i++) {
#pragma unroll
      for (int other = SPAN / 2; other > 0; other /= 2) {
        value[i].x += __shfl_xor_sync(0xffffffffu, value[i].x, other);
        value[i].y += __shfl_xor_sync(0xffffffffu, value[i].y, other);
      }
      int n = owned(i);
      if (n >= ROWS) continue;
      int place = piece * ROWS + n;
      if constexpr (CLUSTER) {
        for (int peer = lane % SPAN; peer < GROUP; peer += SPAN) {
          send(stats + place * 8, value[i], barrier(2 + index), peer);
        }
      } else if (lane % SPAN == 0) {
        publish(stat_words(stat_number) + place * 16,
                __float_as_uint(value[i].x), __float_as_uint(value[i].y),
                stat_number + 1);
      }
    }
    if constexpr (CLUSTER) {
      wait(2 + index, stat_number);
    } else {
      constexpr int PAIRS = GROUP * PIECES * ROWS;
      receive_words<PAIRS>(stat_words(stat_number), stats, PAIRS, 0,
                           stat_number + 1, [](int index) { return index; });
    }
    stat_number++;
    auto moments = reinterpret_cast<float2 *>(shared + MOMENT_AT);
    for (int n = threadIdx.x / 32; n < ROWS; n += WARPS) {
      float2 total = make_float2(0.0f, 0.0f);
      for (int piece = lane; piece < GROUP * PIECES; piece += 32) {
        float2 part = reinterpret_cast<float2 *>(stats)[piece * ROWS + n];
        total.x += part.x;
        total.y += part.y;
      }
#pragma unroll
      for (int other = 16; other > 0; other /= 2) {
        total.x += __shfl_xor_sync(0xffffffffu, total.x, other);
        total.y += __shfl_xor_sync(0xffffffffu, total.y, other);
      }
      if (lane == 0) moments[n] = total;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < OWNED; i++) {
      int n = owned(i);
      if (n < ROWS) value[i] = moments[n];
    }
  }

  // Nobody leaves while a peer may still send to it.
  __device__ void finish() {
    if constexpr (CLUSTER) cluster_sync();
  }
};
