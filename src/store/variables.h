/* variables.h - the variables of a -vars.pkl file, by name. The published scripts' files have no ending, and some of
 * their names go on behind a colon ("filter_act_0: filter activations of class cat"), which is no part of the name. */
#ifndef FILTAGS_STORE_VARIABLES_H
#define FILTAGS_STORE_VARIABLES_H

#include "store/pickle.h"

struct variables {
    char *path, *names_path;
    struct pickle_file *names; /* the -vars-names.pkl beside it: a list of str */
    struct pickle_file *file;  /* NULL: opened for the names alone */
};

/* Open "...-vars.pkl" (or "...-varsX.pkl") and its "...-names.pkl". FORMAT: their numbers differ. IO, ... */
FILTAGS_MUST_USE filtags_status variables_open(const char *path, struct variables *variables);
/* The same for a file that is too large for the memory: its names are read, its variables handed over by
 * variables_visit. */
FILTAGS_MUST_USE filtags_status variables_open_names(const char *path, struct variables *variables);
/* As pickle_file_visit; index: a variable's place among the names. FORMAT, too: not as many values as names. */
FILTAGS_MUST_USE filtags_status variables_visit(const struct variables *variables,
                                                const struct pickle_visitor *visitor);
void variables_close(struct variables *variables);

/* How many there are, by the names. */
size_t variables_n(const struct variables *variables);
bool variables_has(const struct variables *variables, const char *name);
/* What stands behind the colon of a name (blanks skipped), "" where there is nothing. NULL: no variable of the name. */
const char *variables_remark(const struct variables *variables, const char *name);
/* Find a variable's place. DATA: there is none of that name. */
FILTAGS_MUST_USE filtags_status variables_find(const struct variables *variables, const char *name, size_t *index);
/* DATA, with the variable's name: it is not of the kind that is expected. */
FILTAGS_MUST_USE filtags_status variables_check_kind(const struct variables *variables, const char *name,
                                                     enum pickle_kind expected, enum pickle_kind found);
/* Get a variable of the kind that is expected. DATA: there is none of that name, or it is of another kind. */
FILTAGS_MUST_USE filtags_status variables_get(const struct variables *variables, const char *name,
                                              enum pickle_kind kind, pickle_value *value);

/* Find the item of a dict whose key is a number equal to wanted. */
bool dict_find_number(const struct pickle_file *file, pickle_value dict, double wanted, pickle_value *item);

#endif
