/* explain_text.h - explained pictures as text for the terminal. */
#ifndef FILTAGS_REPORT_EXPLAIN_TEXT_H
#define FILTAGS_REPORT_EXPLAIN_TEXT_H

#include "base/buffer.h"
#include "steps/explanation.h"

/* Append a block a picture: predictions of the network and of the tags, whether they agree, and for each value of k and
 * q the filters that carry the tags' top label. */
void explain_text_append(struct buffer *to, const struct explained *explained);

#endif
