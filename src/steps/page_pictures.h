/* page_pictures.h - the strongest pictures of filters on a page, with heat maps: which of those that step 1 kept are
 * shown, and what they look like. */
#ifndef FILTAGS_STEPS_PAGE_PICTURES_H
#define FILTAGS_STEPS_PAGE_PICTURES_H

#include "report/page.h"
#include "steps/heat_maps.h"
#include "steps/steps.h"
#include "steps/top_images.h"

/* What a page may hold. */
struct picture_budget {
    size_t n_bytes;
    size_t thumbnail_bytes;  /* about so many a picture */
    const size_t *map_bytes; /* [n_layers] of a heat map */
};

/* Choose pictures of the filters of layers [first_layer, n_layers) as long as there is room: the strongest one of every
 * filter first, from the last layer to the first, then the second ones, and so on; a picture that is there already
 * costs only its heat map. is_chosen: [number of images], all false. Returns how many are chosen. is_file_chosen:
 * [n_files], all false. */
size_t page_pictures_choose(const struct top_images *top, size_t first_layer, const struct picture_budget *budget,
                            bool *is_chosen, bool *is_file_chosen);

struct page_pictures {
    struct top_images top;
    size_t first_layer;
    size_t n_shown, n_left_out; /* pairs of filter and picture */
    struct map_request *requests; /* [n_shown] in the order of the filters */
    uint32_t *images;             /* [n_shown] which of top.images each is */
    const char **files;           /* [n_files] */
    size_t n_files;
    struct heat_maps maps;
};

/* Read what step 1 kept beside its file and run the chosen pictures through the network. Nothing kept: empty. Where the
 * network or the pictures aren't on this machine: empty, with a warning. MEMORY, CANCELLED. */
FILTAGS_MUST_USE filtags_status page_pictures_open(struct step *step, const char *activations_path,
                                                   const struct filter_table *table, size_t first_layer,
                                                   struct output *output, struct page_pictures *pictures);
void page_pictures_close(struct page_pictures *pictures);

/* Write the blocks "pictures", "thumbnails" and "maps-0", "maps-1", ... (by the page's layers); none if it is empty.
 * A layer's block, little-endian: pictures of each filter (uint32 [n_filters]), the file of each (uint32), its
 * activation (float32), and their heat maps (uint8 [h, w]). MEMORY. */
FILTAGS_MUST_USE filtags_status page_pictures_add(const struct page_pictures *pictures, struct page *page);

#endif
