/* account.h - a short account of class activations for a person: which filters stand for which class. */
#ifndef FILTAGS_REPORT_ACCOUNT_H
#define FILTAGS_REPORT_ACCOUNT_H

#include "base/buffer.h"
#include "filtags.h"

/* Append, for each class of step 1's file, its strongest filters in the last tagged layer, and the filter of all layers
 * that sets it apart most from every other class. IO, FORMAT, DATA, MEMORY as for class_activations_open. */
FILTAGS_MUST_USE filtags_status account_append(struct buffer *to, const char *activations_path);

#endif
