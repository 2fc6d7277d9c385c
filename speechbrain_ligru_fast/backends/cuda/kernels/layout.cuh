// Sizes that follow from the plan, and the kernels' arguments.
//
// Names: a group of CTAs holds all of U and runs one tile of rows at a time;
// a CTA owns UNITS hidden units. A block is 64 bytes of K. The plan defines
//   PADDED      hidden units, padded to GROUP * UNITS
//   GROUP       CTAs that share a tile of rows
//   UNITS       hidden units of a CTA
//   SPLITS      warps that share K in the forward (twice as many backward)
//   ROWS        rows of a tile, a multiple of 8
//   CLUSTER     1: exchange through the cluster's shared memory; 0: L2
//   OPERAND     type of the product's operands, IO that of w and output
//   PARTS       in how many pieces of K the operand passes through shared
//               memory (grid tier): more where one row of a tile is too large
//   HELD, KEPT  weights' blocks in registers and in shared memory, per warp
//   ACTIVATION, LAYERNORM, BACKWARD
#pragma once
#include "device.cuh"

enum Type { FLOAT, TF32, HALF, BFLOAT };
enum Activation { RELU, TANH, SIN, LEAKY_RELU };

constexpr int ELEMENT = OPERAND == HALF || OPERAND == BFLOAT ? 2 : 4;
// Forward: h. Backward: the gradients of both gates.
constexpr int SEGMENTS = BACKWARD ? 2 : 1;
constexpr int BLOCK = 64;
constexpr int WARPS = UNITS / 8 * SPLITS;
constexpr int THREADS = 32 * WARPS;
// An mma's 16 rows: both gates of 8 units, or 16 units backward.
constexpr int M_TILES = BACKWARD ? UNITS / 16 : UNITS / 8;
constexpr int K_SPLITS = WARPS / M_TILES;
constexpr int BLOCKS = SEGMENTS * PADDED * ELEMENT / BLOCK / K_SPLITS;
constexpr int PART_BLOCKS = BLOCKS / PARTS;
constexpr int LANE_ROWS = THREADS / UNITS;
// Rows of one unit that a thread holds: tid / UNITS + i * LANE_ROWS.
constexpr int OWNED = (ROWS + LANE_ROWS - 1) / LANE_ROWS;
// Threads of a warp that hold the same row.
constexpr int SPAN = UNITS < 32 ? UNITS : 32;
constexpr int PIECES = UNITS / SPAN;

static_assert(PADDED == GROUP * UNITS, "a group holds every unit");
static_assert(UNITS == 16 || UNITS % 32 == 0, "a warp holds whole rows");
static_assert(BLOCKS * K_SPLITS * BLOCK == SEGMENTS * PADDED * ELEMENT,
              "warps share K evenly");
static_assert(BLOCKS % PARTS == 0 && (PARTS == 1 || !CLUSTER), "parts");
static_assert(HELD + KEPT <= BLOCKS && ROWS % 8 == 0, "plan");

// Shared memory, in bytes. An odd number of blocks a row: no bank conflicts.
constexpr int STRIDE = (K_SPLITS * PART_BLOCKS | 1) * BLOCK;
constexpr int OPERAND_BYTES = ROWS * STRIDE;
constexpr int BUFFERS = CLUSTER ? 2 : 1;
constexpr int STAGE_BYTES = SEGMENTS * ROWS * UNITS * ELEMENT;
constexpr int COLUMN = 16 * M_TILES + 4;
constexpr int PARTIAL_BYTES = K_SPLITS * ROWS * COLUMN * 4;
constexpr int STAT_BYTES = LAYERNORM ? GROUP * PIECES * ROWS * 8 : 0;
constexpr int MOMENT_BYTES = LAYERNORM ? ROWS * 8 : 0;
constexpr int KEPT_BYTES = WARPS * KEPT * 32 * 2 * 16;

constexpr int OPERAND_AT = 0;
constexpr int STAGE_AT = OPERAND_AT + BUFFERS * OPERAND_BYTES;
constexpr int PARTIAL_AT = STAGE_AT + STAGE_BYTES;
constexpr int STAT_AT = PARTIAL_AT + PARTIAL_BYTES;
constexpr int MOMENT_AT = STAT_AT + BUFFERS * STAT_BYTES;
constexpr int BARRIER_AT = MOMENT_AT + MOMENT_BYTES;
constexpr int KEPT_AT = BARRIER_AT + 32;
constexpr int SHARED_BYTES = KEPT_AT + KEPT_BYTES;

// The plan reckons the same in Python; a difference is a compile error.
static_assert(SHARED_BYTES == PLANNED_SHARED, "plan.shared_bytes");
static_assert(THREADS == PLANNED_THREADS, "plan.threads");

// In the order of launch.Arguments. R = D * B rows; unread ones are null.
struct Arguments {
  const char *weights;       // U (2, P, P), or its transpose (P, 2, P)
  const void *input;         // w (B, T, 2H); backward: grad (B, T, D * H)
  const float *h0;           // (R, H)
  const float *mask;         // (R, H)
  const long long *lengths;  // (B,)
  const float *ln_weight;    // (2H,)
  const float *ln_bias;      // (2H,)
  const void *previous;      // (D, B, T, H)
  void *output;              // (B, T, D * H)
  float *gates;              // (D, B, T, 2H)
  float *normed;             // (D, B, T, 2H)
  float *rstd;               // (D, B, T)
  float *dgates;             // (D, B, T, 2H)
  float *dprojected;         // (D, B, T, 2H)
  float *dh0;                // (R, H)
  char *words;               // grid tier: exchange through L2
  char *stat_words;          // grid tier with LayerNorm
  int *error;                // takes the ticket when a wait runs out
  int batch, steps, hidden, directions, groups;
  int ticket;                // names this launch, not 0
  u32 spins;                 // polls of one wait before it gives up
  float eps;
};
