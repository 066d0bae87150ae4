#include "dispatch.h"

// How many of a list of ascending numbers are below x, or not above it.
enum { tile = 256, few = 15, cells = 2048, most_per_cell = 4 };
typedef struct {
    float numbers[256 + most_per_cell];  // NaN from `count` on, which no comparison counts
    size_t count;
    // Many numbers are found over a grid. A cell's place never falls as x rises, so numbers in lower cells are below x,
    // those in higher ones above, and only those in x's own cell are compared.
    size_t per_cell;  // at most; 0 without a grid, which is of no use when too many numbers share a cell
    float origin, density;
    struct {
        uint32_t lower;  // how many numbers lie in lower cells
        float number;    // the first one in this cell, or NaN
    } grid[cells];
} number_line;

PLEACH_INLINE uint32_t cell_of(const number_line *line, float x) {
    float place = (x - line->origin) * line->density;
    place = place < (float)(cells - 1) ? place : (float)(cells - 1);
    return (uint32_t)(int32_t)(place > 0 ? place : 0);
}

PLEACH_INLINE void set_cell(number_line *line, size_t cell, size_t lower, float number) {
    line->grid[cell].lower = (uint32_t)lower;
    line->grid[cell].number = number;
}

PLEACH_INLINE void build_grid(number_line *line) {
    line->origin = line->numbers[0];
    line->density = (float)cells / (line->numbers[line->count - 1] - line->origin);
    if (!is_normal(line->density)) return;
    size_t most = 1, cell = 0;
    for (size_t i = 0, start = 0; i < line->count; i++) {
        size_t own = cell_of(line, line->numbers[i]);
        if (i == 0 || own != cell - 1) {
            start = i;
            for (; cell < own; cell++) set_cell(line, cell, i, __builtin_nanf(""));
            set_cell(line, cell++, i, line->numbers[i]);
        }
        most = i - start + 1 > most ? i - start + 1 : most;
    }
    for (; cell < cells; cell++) set_cell(line, cell, line->count, __builtin_nanf(""));
    if (most <= most_per_cell) line->per_cell = most;
}

// `expected` is how many x will be looked up.
PLEACH_INLINE void finish_line(number_line *line, size_t count, size_t expected) {
    line->count = count;
    line->per_cell = 0;
    for (size_t i = count; i < 256 + most_per_cell; i++) line->numbers[i] = __builtin_nanf("");
    if (count > few && expected >= cells) build_grid(line);
}

PLEACH_INLINE uint32_t passed(float number, float x, bool inclusive) { return inclusive ? number <= x : number < x; }

PLEACH_INLINE void locate(const number_line *line, const float *x, size_t count, bool inclusive, uint8_t *out) {
    if (line->count <= few) {
        for (size_t i = 0; i < count; i++) {
            uint32_t below = 0;
            for (size_t number = 0; number < few; number++) below += passed(line->numbers[number], x[i], inclusive);
            out[i] = (uint8_t)below;
        }
    } else if (line->per_cell > 0) {
        uint32_t places[tile];
        for (size_t i = 0; i < count; i++) places[i] = cell_of(line, x[i]);
        if (line->per_cell == 1) {
// Gathering takes longer than eight loads.
#pragma clang loop vectorize(disable) unroll_count(8)
            for (size_t i = 0; i < count; i++)
                out[i] = (uint8_t)(line->grid[places[i]].lower + passed(line->grid[places[i]].number, x[i], inclusive));
        } else {
            for (size_t i = 0; i < count; i++) {
                uint32_t start = line->grid[places[i]].lower, below = start;
                for (size_t next = 0; next < most_per_cell; next++)
                    below += passed(line->numbers[start + next], x[i], inclusive);
                out[i] = (uint8_t)below;
            }
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            size_t below = 0;
            for (size_t step = 128; step > 0; step /= 2)
                below += passed(line->numbers[below + step - 1], x[i], inclusive) ? step : 0;
            out[i] = (uint8_t)below;
        }
    }
}

// x/s for x[i] ... x[i + count − 1], 0 where s is 0.
PLEACH_INLINE void divide(
    const float *x, size_t i, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    float *out) {
    for (size_t done = 0; done < count;) {
        const float scale = scale_at(scales, (first + i + done) / block, factor);
        const double precise = scale == 0 ? 0 : 1.0 / (double)scale;
        const float inverse = (float)precise;
        const size_t end = done + block_end(0, count - done, block, first + i + done);
        if (is_normal(inverse))
            for (; done < end; done++) out[done] = x[i + done] * inverse;
        else
            for (; done < end; done++) out[done] = (float)((double)x[i + done] * precise);
    }
}

PLEACH_CLONES void pleach_quantize_levels(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, const float *levels,
    size_t level_count, uint8_t *out) {
    number_line line;
    for (size_t i = 0; i + 1 < level_count; i++) line.numbers[i] = (levels[i] + levels[i + 1]) * 0.5f;
    finish_line(&line, level_count - 1, count);
    for (size_t i = 0; i < count; i += tile) {
        const size_t some = count - i < tile ? count - i : tile;
        float quotients[tile];
        divide(x, i, some, scales, factor, block, first, quotients);
        locate(&line, quotients, some, false, out + i);
    }
}

PLEACH_CLONES void pleach_quantize_levels_stochastic(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, const float *levels,
    size_t level_count, uint64_t counter, uint8_t *out) {
    if (level_count == 1) {
        memset(out, 0, count);
        return;
    }
    // Without the first and the last level, the number found is that of the lower neighbour, whose upper one exists.
    number_line line;
    for (size_t i = 0; i + 2 < level_count; i++) line.numbers[i] = levels[i + 1];
    finish_line(&line, level_count - 2, count);
    float gaps[256];
    for (size_t i = 0; i + 1 < level_count; i++) gaps[i] = levels[i + 1] - levels[i];
    for (size_t i = 0; i < count; i += tile) {
        const size_t some = count - i < tile ? count - i : tile;
        float quotients[tile], units[tile];
        uint8_t codes[tile];
        divide(x, i, some, scales, factor, block, first, quotients);
        locate(&line, quotients, some, true, codes);
        for (size_t j = 0; j < some; j++) units[j] = unit_float(split_mix(counter, first + i + j));
        for (size_t j = 0; j < some; j++)
            codes[j] = (uint8_t)(codes[j] + (units[j] * gaps[codes[j]] < quotients[j] - levels[codes[j]]));
        memcpy(out + i, codes, some);
    }
}

PLEACH_CLONES void pleach_dequantize_levels(
    const uint8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    const float *levels, float *out) {
    for (size_t i = 0, number = first / block; i < count; number++) {
        float scale = scale_at(scales, number, factor);
        for (size_t end = block_end(i, count, block, first); i < end; i++) out[i] = levels[codes[i]] * scale;
    }
}
