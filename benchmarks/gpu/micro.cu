// The latencies that the kernels' design rests on, each as a bare loop.
//
// A wait that takes too long ends, and none waits after it: the word at ERROR
// says so.
#include "device.cuh"

constexpr int ERROR = 256;
// Each poll takes a fraction of a microsecond: about a second.
constexpr u32 SPINS = 1 << 20;

__device__ __forceinline__ u32 cluster_size() {
  u32 size;
  asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));
  return size;
}

// Every CTA of a cluster sends 16 bytes a thread to all, and waits for all.
extern "C" __global__ void cluster_exchange(char *words, int steps) {
  char *shared = shared_memory();
  auto barriers = reinterpret_cast<u64 *>(shared);
  u32 size = cluster_size(), rank = blockIdx.x % size;
  u32 bytes = blockDim.x * 16;
  bool broken = false;
  if (threadIdx.x == 0) {
    barrier_init(&barriers[0]);
    barrier_init(&barriers[1]);
  }
  cluster_sync();
  for (int step = 0; step < steps; step++) {
    u64 *barrier = &barriers[step % 2];
    // A phase that never ended has no next one.
    if (threadIdx.x == 0 && !broken) barrier_expect(barrier, size * bytes);
    char *place = shared + 128 + (step % 2 * size + rank) * bytes;
    uint4 v = make_uint4(step, step, step, step);
    for (u32 peer = 0; peer < size; peer++) {
      send(place + threadIdx.x * 16, v, barrier, peer);
    }
    u32 polls = 0;
    while (!broken && !barrier_test(barrier, step / 2 % 2)) {
      broken = ++polls > SPINS;
    }
    __syncthreads();
  }
  cluster_sync();
  if (broken) *reinterpret_cast<int *>(words + ERROR) = 1;
}

// Two CTAs answer each other through global memory; a step is one hop.
extern "C" __global__ void flag_hop(char *words, int steps) {
  if (threadIdx.x != 0) return;
  for (u32 step = blockIdx.x; step < static_cast<u32>(steps); step += 2) {
    u32 polls = 0;
    while (step > 0 && peek(words + (step - 1) % 2 * 128).y != step) {
      if (++polls > SPINS) {
        *reinterpret_cast<int *>(words + ERROR) = 1;
        return;
      }
    }
    publish(words + step % 2 * 128, step, step, step + 1);
  }
}
