#include "dataset/mt19937.h"

/* Parameters by their names in Table II of the paper; n is MT19937_WORDS. */
static const size_t M = 397;
static const uint32_t A = 0x9908b0df;
static const uint32_t UPPER_BIT = 0x80000000; /* w - r = 1 upper bit, r = 31 lower ones */
static const uint32_t B = 0x9d2c5680, C = 0xefc60000;

void mt19937_seed(struct mt19937 *generator, uint32_t seed) {
    uint32_t *words = generator->words;
    words[0] = seed;
    for (uint32_t i = 1; i < MT19937_WORDS; i++) words[i] = 1812433253u * (words[i - 1] ^ words[i - 1] >> 30) + i;
    generator->position = MT19937_WORDS;
}

/* Compute the next n words by the recurrence (2.1): x[k+n] = x[k+m] xor (upper bit of x[k], lower of x[k+1]) A. */
static void refill(struct mt19937 *generator) {
    uint32_t *words = generator->words;
    for (size_t k = 0; k < MT19937_WORDS; k++) {
        uint32_t joined = (words[k] & UPPER_BIT) | (words[(k + 1) % MT19937_WORDS] & ~UPPER_BIT);
        words[k] = words[(k + M) % MT19937_WORDS] ^ joined >> 1 ^ (joined & 1 ? A : 0);
    }
    generator->position = 0;
}

uint32_t mt19937_next(struct mt19937 *generator) {
    if (generator->position == MT19937_WORDS) refill(generator);
    uint32_t word = generator->words[generator->position++];
    word ^= word >> 11; /* tempering, (2.2) to (2.5) */
    word ^= word << 7 & B;
    word ^= word << 15 & C;
    return word ^ word >> 18;
}

/* Return a number in [0, limit] by masked rejection. */
static uint32_t draw_up_to(struct mt19937 *generator, uint32_t limit) {
    uint32_t mask = limit;
    for (int shift = 1; shift <= 16; shift *= 2) mask |= mask >> shift;
    for (;;) {
        uint32_t value = mt19937_next(generator) & mask;
        if (value <= limit) return value;
    }
}

void mt19937_shuffle(struct mt19937 *generator, uint32_t *items, size_t n) {
    for (size_t i = n; i-- > 1;) {
        uint32_t j = draw_up_to(generator, (uint32_t)i);
        uint32_t item = items[i];
        items[i] = items[j];
        items[j] = item;
    }
}
