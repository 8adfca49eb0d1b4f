/* explain_page.h - the page of explained pictures, web/explain.*. */
#ifndef FILTAGS_REPORT_EXPLAIN_PAGE_H
#define FILTAGS_REPORT_EXPLAIN_PAGE_H

#include <stdio.h>

#include "steps/explanation.h"

/* Write the page. tags_name: of the tag file, to be shown. Its data:
 *   "explain"  {network, tags, layers: [[name, filters], ...], values: [[rule, number], ...],
 *               labels: [[key, text], ...] of the tags, most_carriers, map_side,
 *               pictures: [{file, size: [w, h] of the JPEG, top: [[key, text, probability, label or null], ...],
 *                           filters: [[layer, number, activation, h, w], ...] with a map,
 *                           values: [{rankings: [all, last layer] of [[label, count], ...] (the first ones), n_ranked,
 *                                     n_tags, n_active, places (of the network's label, 0: none): [all, last layer],
 *                                     choices: [[label, carriers in all layers, in the last one], ...], n_carriers,
 *                                     carriers: [[filter, number of tags, choices (bits),
 *                                                 [label, ...] (the first ones)], ...]}]}]}
 *   "image-I"  picture I as a JPEG
 *   "maps-I"   its filters' heat maps one after another, [h, w] bytes each
 * MEMORY, INTERNAL. Failures to write stay with the stream. */
FILTAGS_MUST_USE filtags_status explain_page_write(FILE *stream, const struct explained *explained,
                                                   const struct class_index *index, const char *tags_name,
                                                   size_t map_side);

#endif
