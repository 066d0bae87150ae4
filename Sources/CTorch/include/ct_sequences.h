// Recurrent layers, attention and resizing: operators with many settings. Included by ct_layers.h.
#ifndef CT_SEQUENCES_H
#define CT_SEQUENCES_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

enum { CT_RNN, CT_GRU, CT_LSTM };
enum { CT_FORWARD, CT_REVERSE, CT_BIDIRECTIONAL };
enum {
    CT_RELU, CT_TANH, CT_SIGMOID, CT_AFFINE, CT_LEAKY_RELU, CT_THRESHOLDED_RELU, CT_SCALED_TANH, CT_HARD_SIGMOID,
    CT_ELU, CT_SOFTSIGN, CT_SOFTPLUS
};

typedef struct {
    int kind;
    double alpha, beta;
} CTActivation;

typedef struct {
    int kind, direction;
    int64_t hidden_size;
    // Layout 1: the batch is the first axis.
    bool batch_first;
    // 0 for none.
    double clip;
    bool input_forget, linear_before_reset;
    // One (RNN), two (GRU) or three (LSTM) for each direction.
    const CTActivation *activations;
} CTRecurrent;

// Inputs X, W, R, B, sequence_lens, initial_h and, for an LSTM, initial_c and P, as ONNX has them; NULL for what is left
// out from B on. The outputs are Y, Y_h and Y_c.
int ct_recurrent(const CTRecurrent *settings, const CTTensor *const *inputs, CTTensor **outputs);

enum { CT_SCORES, CT_SCORES_CAPPED, CT_SCORES_BIASED, CT_SHARES };

typedef struct {
    // For inputs of three axes.
    int64_t query_heads, key_heads;
    bool causal, has_scale;
    double scale, softcap;
    // What the fourth output shows.
    int shown;
    // The element type of the softmax; 0 for the input's.
    int softmax_type;
    // Negative for unbounded.
    int64_t left_window, right_window;
} CTAttention;

// Inputs Q, K, V, attn_mask, past_key, past_value and nonpad_kv_seqlen; NULL for what is left out from attn_mask on. The
// outputs are Y, present_key, present_value and qk_matmul_output.
int ct_attention(const CTTensor *const *inputs, const CTAttention *settings, CTTensor **outputs);
// `positions` may be NULL; `heads` is for inputs of three axes; `rotated` 0 for the whole head.
CTTensor *ct_rotary_embedding(const CTTensor *x, const CTTensor *cosines, const CTTensor *sines,
                              const CTTensor *positions, int64_t heads, int64_t rotated, bool interleaved);

enum { CT_NEAREST, CT_LINEAR, CT_CUBIC };
enum {
    CT_HALF_PIXEL, CT_PYTORCH_HALF_PIXEL, CT_ALIGN_CORNERS, CT_ASYMMETRIC, CT_HALF_PIXEL_SYMMETRIC, CT_CROP_AND_RESIZE
};
enum { CT_ROUND_PREFER_FLOOR, CT_ROUND_PREFER_CEIL, CT_FLOOR, CT_CEIL };

typedef struct {
    int mode, coordinates, nearest;
    double cubic_coefficient, extrapolation;
    bool exclude_outside, antialias;
} CTResize;

typedef struct {
    int64_t axis, input, output;
    double scale;
    // The region of interest, in parts of the axis.
    double start, end;
} CTResizeAxis;

CTTensor *ct_resize(const CTTensor *x, const CTResizeAxis *axes, int count, const CTResize *settings);

#ifdef __cplusplus
}
#endif

#endif
