// What the kernels need of the machine, one instruction or two per function.
//
// Inline PTX, so that no CUDA header is needed where NVRTC runs. The tests
// compile the kernels with g++ against tests/simt/simt.hpp instead.
#pragma once

using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;

extern __shared__ uint4 dynamic_shared[];

__device__ __forceinline__ char *shared_memory() {
  return reinterpret_cast<char *>(dynamic_shared);
}

__device__ __forceinline__ u32 shared_address(const void *pointer) {
  return static_cast<u32>(__cvta_generic_to_shared(pointer));
}

// Keeps weights in registers: the compiler must not load them again.
__device__ __forceinline__ void pin(uint4 &v) {
  asm volatile("" : "+r"(v.x), "+r"(v.y), "+r"(v.z), "+r"(v.w));
}

__device__ __forceinline__ float half_to_float(u16 bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

__device__ __forceinline__ u16 float_to_half(float value) {
  u16 bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

__device__ __forceinline__ u16 float_to_bfloat(float value) {
  u16 bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}

__device__ __forceinline__ float round_to_tf32(float value) {
  u32 bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return __uint_as_float(bits);
}

// d += A B for a 16 x 8 tile; a and b are the fragments of mma.m16n8k16
// (16-bit types) or m16n8k8 (tf32): either way 32 bytes of K per row.
__device__ __forceinline__ void mma_bfloat(float (&d)[4], u32 a0, u32 a1,
                                           u32 a2, u32 a3, u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
               "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void mma_half(float (&d)[4], u32 a0, u32 a1,
                                         u32 a2, u32 a3, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
               "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
               "{%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
               "{%0,%1,%2,%3},{%4,%5},{%6},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a2), "r"(a3), "r"(b1));
#endif
}

__device__ __forceinline__ void mma_tf32(float (&d)[4], u32 a0, u32 a1,
                                         u32 a2, u32 a3, u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
               "{%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n"
               "barrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
}

// One arrival, by barrier_expect, and the bytes it announces.
__device__ __forceinline__ void barrier_init(u64 *barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;"
               :
               : "r"(shared_address(barrier))
               : "memory");
}

__device__ __forceinline__ void barrier_expect(u64 *barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;"
               :
               : "r"(shared_address(barrier)), "r"(bytes)
               : "memory");
}

// Sleeps for at most a microsecond or so, so that polls measure time.
__device__ __forceinline__ bool barrier_test(u64 *barrier, u32 parity) {
  u32 done;
  asm volatile("{\n.reg .pred P;\n"
               "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 "
               "P, [%1], %2, %3;\nselp.u32 %0, 1, 0, P;\n}"
               : "=r"(done)
               : "r"(shared_address(barrier)), "r"(parity), "r"(1000)
               : "memory");
  return done;
}

__device__ __forceinline__ u32 peer_address(const void *pointer, u32 rank) {
  u32 address;
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(address)
      : "r"(shared_address(pointer)), "r"(rank));
  return address;
}

// Stores to the same place in a peer's shared memory; the peer's barrier
// counts the bytes.
__device__ __forceinline__ void send(void *place, uint4 v, u64 *barrier,
                                     u32 rank) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 "
               "[%0], {%1,%2,%3,%4}, [%5];"
               :
               : "r"(peer_address(place, rank)), "r"(v.x), "r"(v.y),
                 "r"(v.z), "r"(v.w), "r"(peer_address(barrier, rank))
               : "memory");
}

__device__ __forceinline__ void send(void *place, float2 v, u64 *barrier,
                                     u32 rank) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 "
               "[%0], {%1,%2}, [%3];"
               :
               : "r"(peer_address(place, rank)), "r"(__float_as_uint(v.x)),
                 "r"(__float_as_uint(v.y)), "r"(peer_address(barrier, rank))
               : "memory");
}

// Two 8-byte words {payload, epoch}, each written and read as one: a word
// with the epoch that is waited for carries its data, with no fence or flag.
__device__ __forceinline__ void publish(void *place, u32 first, u32 second,
                                        u32 epoch) {
  u64 tag = static_cast<u64>(epoch) << 32;
  asm volatile("st.relaxed.gpu.global.v2.b64 [%0], {%1,%2};"
               :
               : "l"(__cvta_generic_to_global(place)), "l"(tag | first),
                 "l"(tag | second)
               : "memory");
}

__device__ __forceinline__ uint4 peek(const void *place) {
  u64 first, second;
  asm volatile("ld.relaxed.gpu.global.v2.b64 {%0,%1}, [%2];"
               : "=l"(first), "=l"(second)
               : "l"(__cvta_generic_to_global(place))
               : "memory");
  return make_uint4(static_cast<u32>(first), static_cast<u32>(first >> 32),
                    static_cast<u32>(second), static_cast<u32>(second >> 32));
}

// The error word is in the host's memory.
__device__ __forceinline__ void report(int *error, int code) {
  asm volatile("st.relaxed.sys.global.b32 [%0], %1;"
               :
               : "l"(__cvta_generic_to_global(error)), "r"(code)
               : "memory");
}
