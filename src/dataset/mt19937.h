/* mt19937.h - the Mersenne Twister as NumPy's legacy RandomState runs it.
 *
 * M. Matsumoto, T. Nishimura: Mersenne Twister: a 623-dimensionally equidistributed uniform pseudo-random number
 * generator. ACM Transactions on Modeling and Computer Simulation 8(1), 1998, pp. 3-30. The seeding is the
 * authors' revision of 2002 (init_genrand). */
#ifndef FILTAGS_DATASET_MT19937_H
#define FILTAGS_DATASET_MT19937_H

#include <stddef.h>
#include <stdint.h>

enum { MT19937_WORDS = 624 };

struct mt19937 {
    uint32_t words[MT19937_WORDS];
    size_t position; /* of the next word to use */
};

/* Seed as numpy.random.RandomState(seed). */
void mt19937_seed(struct mt19937 *generator, uint32_t seed);

/* Return the next 32 random bits. */
uint32_t mt19937_next(struct mt19937 *generator);

/* Shuffle n < 2^32 items in place as RandomState.shuffle: so 0..n-1 become RandomState.permutation(n), the row
 * order of pandas' DataFrame.sample(frac=1). */
void mt19937_shuffle(struct mt19937 *generator, uint32_t *items, size_t n);

#endif
