/* rate_table.h - hit rates as aligned text: a row a value of k or q; columns m, all layers beside the last layer. */
#ifndef FILTAGS_REPORT_RATE_TABLE_H
#define FILTAGS_REPORT_RATE_TABLE_H

#include <stdint.h>

#include "base/buffer.h"

/* Title and heading of a block with the columns m ([n_m]), twice. */
void rate_table_append_head(struct buffer *to, const char *title, const uint32_t *m, size_t n_m);
/* Start a row: "k = 25". The caller ends it with a newline. */
void rate_table_begin_row(struct buffer *to, const char *rule, double value);
/* One rate; NULL: there is none. starts_half: first of the last layer's. */
void rate_table_append_rate(struct buffer *to, const double *rate, bool starts_half);

#endif
