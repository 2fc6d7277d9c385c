// The latencies that the kernels' design rests on, each as a bare loop.
#include "device.cuh"

__device__ __forceinline__ u32 cluster_size() {
  u32 size;
  asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(size));
  return size;
}

// Every CTA of a cluster sends 16 bytes a thread to all, and waits for all.
extern "C" __global__ void cluster_exchange(char *, int steps) {
  char *shared = shared_memory();
  auto barriers = reinterpret_cast<u64 *>(shared);
  u32 size = cluster_size(), rank = blockIdx.x % size;
  u32 bytes = blockDim.x * 16;
  if (threadIdx.x == 0) {
    barrier_init(&barriers[0]);
    barrier_init(&barriers[1]);
  }
  cluster_sync();
  for (int step = 0; step < steps; step++) {
    u64 *barrier = &barriers[step % 2];
    if (threadIdx.x == 0) barrier_expect(barrier, size * bytes);
    char *place = shared + 128 + (step % 2 * size + rank) * bytes;
    uint4 v = make_uint4(step, step, step, step);
    for (u32 peer = 0; peer < size; peer++) {
      send(place + threadIdx.x * 16, v, barrier, peer);
    }
    while (!barrier_test(barrier, step / 2 % 2)) {
    }
    __syncthreads();
  }
  cluster_sync();
}

// Two CTAs answer each other through global memory; a step is one hop.
extern "C" __global__ void flag_hop(char *words, int steps) {
  if (threadIdx.x != 0) return;
  for (u32 step = blockIdx.x; step < static_cast<u32>(steps); step += 2) {
    if (step > 0) {
      while (peek(words + (step - 1) % 2 * 128).y != step) {
      }
    }
    publish(words + step % 2 * 128, step, step, step + 1);
  }
}
