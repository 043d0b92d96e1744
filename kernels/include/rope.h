// The rotation of one pair, the same to the bit in every kernel: the fused product leaves the compiler no choice.
#pragma once
#include "common.h"

DEVICE float rotated_first(float x, float y, float cos, float sin) { return fmaf(x, cos, -(y * sin)); }
DEVICE float rotated_second(float x, float y, float cos, float sin) { return fmaf(y, cos, x * sin); }
