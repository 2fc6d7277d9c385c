// Runs a CUDA kernel on one CPU thread, so that it can be tested anywhere.
//
// Stands in for backends/cuda/kernels/device.cuh and the CUDA built-ins the
// kernels use. Every GPU thread is a fibre; whenever one could wait or be
// overtaken, a scheduler picks the next at random from a seed. Stores to
// peers and to global words are messages that arrive at random times. Warp
// operations, barriers and clusters mean what they mean on a GPU.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#define __device__
#define __global__
#define __forceinline__ inline
#define __launch_bounds__(...)

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
struct uint2 { u32 x, y; };
struct float2 { float x, y; };
struct alignas(16) uint4 { u32 x, y, z, w; };
struct alignas(16) float4 { float x, y, z, w; };
inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }

template <class To, class From> To bits(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
inline float __uint_as_float(u32 v) { return bits<float>(v); }
inline u32 __float_as_uint(float v) { return bits<u32>(v); }

namespace simt {

struct Index { u32 x; };

struct Barrier {
  int size = 0, arrived = 0, kind = -1;
  std::vector<struct Fiber *> waiting;
};

struct Warp {
  Barrier barrier;
  u32 slots[2][32][6];
};

struct Block {
  std::vector<char> memory;
  char *shared;
  Barrier barrier;
  std::vector<Warp> warps;
  int running;
  int votes[3] = {};
};

struct Fiber {
  Index thread, block;
  ucontext_t start;
  jmp_buf state;
  std::unique_ptr<char[]> stack;
  bool started = false;
  u32 collectives = 0, votes = 0;
  double laziness = 0;
};

struct Message {
  char *place;
  u32 words[4];
  int count;
  u64 *barrier;  // null: a store to global memory
  int block;
};

extern std::vector<Block> blocks;
extern std::vector<Barrier> clusters;
extern std::vector<Message> messages;
extern Fiber *current;

void yield();
void arrive(Barrier &barrier, int kind);
[[noreturn]] void fail(const std::string &what);
bool chance(double probability);

inline Block &block() { return blocks[current->block.x]; }

// Publishes a lane's words and waits for those of the whole warp.
inline u32 (*collect(int kind, std::initializer_list<u32> words))[6] {
  Warp &warp = block().warps[current->thread.x / 32];
  auto slots = warp.slots[current->collectives++ % 2];
  int i = 0;
  for (u32 word : words) slots[current->thread.x % 32][i++] = word;
  arrive(warp.barrier, kind);
  return slots;
}

}  // namespace simt

#define threadIdx (simt::current->thread)
#define blockIdx (simt::current->block)

inline char *shared_memory() { return simt::block().shared; }
inline void pin(uint4 &) {}

inline float half_to_float(u16 v) { return bits<_Float16>(v); }
inline u16 float_to_half(float v) {
  return bits<u16>(static_cast<_Float16>(v));
}
inline u16 float_to_bfloat(float v) {
  u32 word = bits<u32>(v);
  if (v != v) return 0x7fff;
  return (word + 0x7fff + (word >> 16 & 1)) >> 16;
}
inline float round_to_tf32(float v) {
  return bits<float>((bits<u32>(v) + 0x1000) & ~0x1fffu);
}

inline void __syncthreads() { simt::arrive(simt::block().barrier, 0); }
inline int __syncthreads_or(int vote) {
  u32 turn = simt::current->votes++;
  int *votes = simt::block().votes;
  votes[turn % 3] |= vote;
  __syncthreads();
  votes[(turn + 2) % 3] = 0;
  return votes[turn % 3];
}
inline void cluster_sync() {
  simt::arrive(simt::clusters[simt::current->block.x / GROUP], 0);
}
inline float __shfl_xor_sync(u32, float value, int other) {
  auto slots = simt::collect(1, {bits<u32>(value)});
  return bits<float>(slots[simt::current->thread.x % 32 ^ other][0]);
}

// The fragments' layouts are PTX's: lane 4r + c holds row r of A and column
// r of B, in the words c and c + 4 of 32 bytes of K.
template <class Dot>
void mma(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1,
         Dot dot) {
  auto slots = simt::collect(2, {a0, a1, a2, a3, b0, b1});
  int row = simt::current->thread.x % 32 / 4;
  int column = simt::current->thread.x % 4 * 2;
  for (int i = 0; i < 4; i++) {
    for (int c = 0; c < 4; c++) {
      u32 *a = slots[4 * row + c], *b = slots[4 * (column + i % 2) + c] + 4;
      d[i] += dot(a[i / 2], b[0]) + dot(a[i / 2 + 2], b[1]);
    }
  }
}
inline void mma_bfloat(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0,
                       u32 b1) {
  mma(d, a0, a1, a2, a3, b0, b1, [](u32 a, u32 b) {
    return bits<float>(a << 16) * bits<float>(b << 16) +
           bits<float>(a & 0xffff0000u) * bits<float>(b & 0xffff0000u);
  });
}
inline void mma_half(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0,
                     u32 b1) {
  mma(d, a0, a1, a2, a3, b0, b1, [](u32 a, u32 b) {
    return half_to_float(a) * half_to_float(b) +
           half_to_float(a >> 16) * half_to_float(b >> 16);
  });
}
inline void mma_tf32(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0,
                     u32 b1) {
  // The tensor cores ignore the lower 13 bits.
  mma(d, a0, a1, a2, a3, b0, b1, [](u32 a, u32 b) {
    return bits<float>(a & ~0x1fffu) * bits<float>(b & ~0x1fffu);
  });
}

struct Mbarrier {
  int bytes;
  short pending, phase;
  void settle() {
    if (pending < 0) simt::fail("two arrivals in one phase of an mbarrier");
    if (pending == 0 && bytes == 0) {
      phase ^= 1;
      pending = 1;
    }
  }
};
inline Mbarrier &mbarrier(u64 *place) {
  auto &barrier = *reinterpret_cast<Mbarrier *>(place);
  if (barrier.phase != 0 && barrier.phase != 1) {
    simt::fail("an mbarrier is used before it is initialised");
  }
  return barrier;
}
inline void barrier_init(u64 *place) {
  *reinterpret_cast<Mbarrier *>(place) = {0, 1, 0};
}
inline void barrier_expect(u64 *place, u32 count) {
  simt::yield();
  Mbarrier &barrier = mbarrier(place);
  barrier.bytes += count;
  barrier.pending--;
  barrier.settle();
}
inline bool barrier_test(u64 *place, u32 parity) {
  simt::yield();
  return mbarrier(place).phase != static_cast<int>(parity);
}

inline void send_words(void *place, std::initializer_list<u32> words,
                       u64 *barrier, u32 rank) {
  simt::yield();
  int peer = simt::current->block.x / GROUP * GROUP + rank;
  auto move = [&](void *p) {
    return simt::blocks[peer].shared + (static_cast<char *>(p) -
                                        simt::block().shared);
  };
  simt::Message message{move(place), {}, static_cast<int>(words.size()),
                        reinterpret_cast<u64 *>(move(barrier)), peer};
  std::copy(words.begin(), words.end(), message.words);
  simt::messages.push_back(message);
}
inline void send(void *place, uint4 v, u64 *barrier, u32 rank) {
  send_words(place, {v.x, v.y, v.z, v.w}, barrier, rank);
}
inline void send(void *place, float2 v, u64 *barrier, u32 rank) {
  send_words(place, {bits<u32>(v.x), bits<u32>(v.y)}, barrier, rank);
}

inline void publish(void *place, u32 first, u32 second, u32 epoch) {
  simt::yield();
  // Two words of 8 bytes: they may arrive apart.
  auto p = static_cast<char *>(place);
  simt::messages.push_back({p, {first, epoch}, 2, nullptr, 0});
  simt::messages.push_back({p + 8, {second, epoch}, 2, nullptr, 0});
}
inline uint4 peek(const void *place) {
  simt::yield();
  return *static_cast<const uint4 *>(place);
}
inline void report(int *error, int code) { *error = code; }
