// Images. Included by CTorch.h.
#ifndef CT_IMAGES_H
#define CT_IMAGES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Resizes planes of 8-bit pixels [channels, height, width]: bilinear, with antialiasing where they shrink, half pixel
// centres, rounded to nearest even: what torchvision's Resize does with a tensor.
int ct_resize_planes(const uint8_t *planes, int64_t channels, int64_t height, int64_t width, int64_t new_height,
                     int64_t new_width, uint8_t *target);
// Makes the calling thread use one thread, whatever ct_set_threads says: loaders run beside the training, not instead of it.
int ct_enter_loader_thread(void);

#ifdef __cplusplus
}
#endif

#endif
