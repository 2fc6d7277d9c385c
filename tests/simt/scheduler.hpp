// The scheduler of simt.hpp; included after the kernel.
#pragma once

namespace simt {

std::vector<Block> blocks;
std::vector<Barrier> clusters;
std::vector<Message> messages;
Fiber *current;

static u64 state;
static std::vector<std::unique_ptr<Fiber>> fibers;
static std::vector<Fiber *> ready;
static jmp_buf scheduler;
static std::string failure;
static const Arguments *arguments;
static int alive;

// splitmix64: standard headers would take longer to compile than the kernel.
static u32 draw() {
  u64 z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return (z ^ z >> 31) >> 32;
}

bool chance(double probability) {
  return draw() < probability * 4294967296.0;
}

// Fibres leave with longjmp, which does not mind that stacks differ.
static void leave() {
  if (_setjmp(current->state) == 0) _longjmp(scheduler, 1);
}

void yield() {
  ready.push_back(current);
  leave();
}

void fail(const std::string &what) {
  failure = what;
  _longjmp(scheduler, 1);
}

void arrive(Barrier &barrier, int kind) {
  if (barrier.arrived > 0 && barrier.kind != kind) {
    fail("threads of a warp meet in different operations");
  }
  barrier.kind = kind;
  if (++barrier.arrived == barrier.size) {
    for (Fiber *fiber : barrier.waiting) ready.push_back(fiber);
    barrier.waiting.clear();
    barrier.arrived = 0;
    yield();
  } else {
    barrier.waiting.push_back(current);
    leave();
  }
}

static void run_fiber() {
  ligru_scan(*arguments);
  alive--;
  block().running--;
  _longjmp(scheduler, 1);
}

static void deliver() {
  size_t i = draw() % messages.size();
  Message message = messages[i];
  messages[i] = messages.back();
  messages.pop_back();
  if (message.barrier && blocks[message.block].running == 0) {
    failure = "a store to a block that has left";
    return;
  }
  std::memcpy(message.place, message.words, 4 * message.count);
  if (message.barrier) {
    Mbarrier &barrier = *reinterpret_cast<Mbarrier *>(message.barrier);
    barrier.bytes -= 4 * message.count;
    barrier.settle();
  }
}

static void prepare(int grid, unsigned seed) {
  state = seed;
  // Each run has its own slow warps and its own slow network.
  fibers.clear();
  ready.clear();
  messages.clear();
  failure.clear();
  blocks = std::vector<Block>(grid);
  clusters = std::vector<Barrier>(grid / GROUP);
  for (auto &cluster : clusters) cluster.size = GROUP * THREADS;
  alive = grid * THREADS;
  for (int b = 0; b < grid; b++) {
    Block &block = blocks[b];
    // Uninitialised memory holds NaN.
    block.memory.assign(SHARED_BYTES + 128, char(0xff));
    auto address = reinterpret_cast<uintptr_t>(block.memory.data());
    block.shared = reinterpret_cast<char *>((address + 127) / 128 * 128);
    block.barrier.size = THREADS;
    block.running = THREADS;
    block.warps.resize(WARPS);
    double slow_block = chance(0.3) ? 0.95 : 0.0;
    for (Warp &warp : block.warps) {
      warp.barrier.size = 32;
      double laziness = chance(0.3) ? 0.97 : slow_block;
      for (int lane = 0; lane < 32; lane++) {
        auto fiber = std::make_unique<Fiber>();
        fiber->thread.x = (&warp - block.warps.data()) * 32 + lane;
        fiber->block.x = b;
        fiber->laziness = laziness;
        ready.push_back(fiber.get());
        fibers.push_back(std::move(fiber));
      }
    }
  }
}

static void resume(Fiber *fiber) {
  constexpr size_t stack = 128 * 1024;
  current = fiber;
  if (_setjmp(scheduler) != 0) return;
  if (fiber->started) _longjmp(fiber->state, 1);
  fiber->started = true;
  fiber->stack.reset(new char[stack]);
  getcontext(&fiber->start);
  fiber->start.uc_stack.ss_sp = fiber->stack.get();
  fiber->start.uc_stack.ss_size = stack;
  makecontext(&fiber->start, run_fiber, 0);
  setcontext(&fiber->start);
}

}  // namespace simt

// Null, or what went wrong.
extern "C" const char *simt_run(const Arguments *arguments, int grid,
                                unsigned seed) {
  using namespace simt;
  prepare(grid, seed);
  simt::arguments = arguments;
  double network = chance(0.5) ? 0.9 : 0.1;
  while (failure.empty() && (!ready.empty() || !messages.empty())) {
    if (!messages.empty() && (ready.empty() || chance(network))) {
      deliver();
      continue;
    }
    size_t i = draw() % ready.size();
    for (int n = 0; n < 64 && chance(ready[i]->laziness); n++) {
      i = draw() % ready.size();
    }
    Fiber *fiber = ready[i];
    ready[i] = ready.back();
    ready.pop_back();
    resume(fiber);
  }
  if (failure.empty() && alive > 0) failure = "deadlock";
  return failure.empty() ? nullptr : failure.c_str();
}
