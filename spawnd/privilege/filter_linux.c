/* SPDX-License-Identifier: ISC */
/*
 * Builds the filter that lets in the packets of some addresses, in classic
 * BPF. It looks an address up word by word, each by a binary search, as the
 * kernel runs it for every packet of every connection, and lists may be long.
 *
 * A conditional jump goes at most 255 instructions ahead, and all jumps go
 * ahead. So the program is built from its last instruction to its first, when
 * the way to each target is known; where it is too far an instruction that
 * makes up for it comes in between. Both targets of each conditional jump are
 * given, so that none of these is run into by accident. A position counts from
 * the end of the program.
 */
#include <stdbool.h>
#include <string.h>

#include "privilege/filter.h"

#define ACCEPT		(FILTER_MAX + 1)	/* targets: no positions */
#define DROP		(FILTER_MAX + 2)
#define WHOLE		0xffffffffU	/* of the packet; less would cut it */
#define REACH		254		/* one may still come in between */
#define LINEAR		4		/* words looked at one by one */
#define SOURCE_IPV4	12		/* where in their headers */
#define SOURCE_IPV6	8

struct program {
	struct sock_filter *insn;	/* the last ones are filled */
	unsigned int	 n;		/* how many those are */
	unsigned int	 accept, drop;	/* the nearest that do that */
	bool		 full;
};

/* Puts an instruction before all others. Returns its position. */
static unsigned int
put_insn(struct program *p, unsigned int code, unsigned int jt, unsigned int jf,
    uint32_t k)
{
	if (p->n == FILTER_MAX) {
		p->full = true;
		return p->n - 1;
	}
	p->insn[FILTER_MAX - ++p->n] = (struct sock_filter){ (uint16_t)code,
	    (uint8_t)jt, (uint8_t)jf, k };
	return p->n - 1;
}

static unsigned int
put_return(struct program *p, uint32_t result)
{
	return put_insn(p, BPF_RET | BPF_K, 0, 0, result);
}

static void
put_returns(struct program *p)
{
	p->drop = put_return(p, 0);
	p->accept = put_return(p, WHOLE);
}

/* Returns a position within reach from where that comes to the same. */
static unsigned int
within_reach(struct program *p, unsigned int to)
{
	unsigned int at = to == ACCEPT ? p->accept : to == DROP ? p->drop : to;

	if (p->n - 1 - at <= REACH)
		return at;
	if (to == ACCEPT)
		return p->accept = put_return(p, WHOLE);
	if (to == DROP)
		return p->drop = put_return(p, 0);
	return put_insn(p, BPF_JMP | BPF_JA, 0, 0, p->n - 1 - at);
}

static unsigned int
put_branch(struct program *p, unsigned int test, uint32_t k, unsigned int yes,
    unsigned int no)
{
	yes = within_reach(p, yes);
	no = within_reach(p, no);
	return put_insn(p, BPF_JMP | BPF_K | test, p->n - 1 - yes,
	    p->n - 1 - no, k);
}

static uint32_t
word_of(const struct network *n, unsigned int word)
{
	const uint8_t *b = n->addr + 4 * word;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

/* How many at the beginning of a list have the same word, if it is compared. */
static size_t
same(const struct network *list, size_t n, unsigned int word)
{
	size_t i = 1;

	while (i < n && word_of(&list[i], word) == word_of(list, word))
		i++;
	return i;
}

static unsigned int put_word(struct program *, const struct network *, size_t,
    unsigned int);

/* The n networks have one word, or there is one network: is it that? */
static unsigned int
put_same(struct program *p, const struct network *list, size_t n,
    unsigned int word, unsigned int otherwise)
{
	unsigned int bits = list->len - 32 * word;
	uint32_t low = word_of(list, word);
	uint32_t high = bits >= 32 ? low : low | 0xffffffffU >> bits;
	unsigned int to = ACCEPT;

	if (bits > 32)
		to = put_word(p, list, n, word + 1);
	if (low == high)
		return put_branch(p, BPF_JEQ, low, to, otherwise);
	to = put_branch(p, BPF_JGE, low, to, otherwise);
	return put_branch(p, BPF_JGT, high, otherwise, to);
}

/* The end of the first half, where two neighbours have different words. */
static size_t
middle(const struct network *list, size_t n, unsigned int word)
{
	size_t mid = n / 2;

	while (mid > 0 && word_of(&list[mid - 1], word) ==
	    word_of(&list[mid], word))
		mid--;
	return mid > 0 ? mid : same(list, n, word);
}

/* Finds the loaded word in the list, whose words before it match. */
static unsigned int
put_search(struct program *p, const struct network *list, size_t n,
    unsigned int word)
{
	size_t ends[LINEAR] = { 0 }, groups = 0, i = 0;
	unsigned int next = DROP, above;

	while (i < n && groups < LINEAR) {
		i += same(list + i, n - i, word);
		ends[groups++] = i;
	}
	if (i < n) {
		i = middle(list, n, word);
		above = put_search(p, list + i, n - i, word);
		next = put_search(p, list, i, word);
		return put_branch(p, BPF_JGE, word_of(&list[i], word), above,
		    next);
	}
	while (groups-- > 0) {
		i = groups > 0 ? ends[groups - 1] : 0;
		next = put_same(p, list + i, ends[groups] - i, word, next);
	}
	return next;
}

/* Finds that word of the source; the search follows its load. */
static unsigned int
put_word(struct program *p, const struct network *list, size_t n,
    unsigned int word)
{
	put_search(p, list, n, word);
	return put_insn(p, BPF_LD | BPF_MEM, 0, 0, word);
}

/*
 * Finds the source. Its words are read from the packet once: each time would
 * be a call in the kernel's own form of the program, and some instructions.
 */
static unsigned int
put_source(struct program *p, const struct network *list, size_t n)
{
	unsigned int at = list->family == AF_INET ? SOURCE_IPV4 : SOURCE_IPV6;
	unsigned int word = list->family == AF_INET ? 1 : 4;
	unsigned int begin = 0;

	put_word(p, list, n, 0);
	while (word-- > 0) {
		put_insn(p, BPF_ST, 0, 0, word);
		begin = put_insn(p, BPF_LD | BPF_W | BPF_ABS, 0, 0,
		    (uint32_t)SKF_NET_OFF + at + 4 * word);
	}
	/*
	 * For the kernel's check, what follows a return has only those words
	 * that everything which jumps to the return has stored. What comes
	 * before this code has stored none, so it gets returns of its own, and
	 * does not jump to those among the instructions above.
	 */
	put_returns(p);
	return begin;
}

/* The version is the first half of a header's first byte. */
static void
put_versions(struct program *p, unsigned int ipv4, unsigned int ipv6)
{
	ipv6 = put_branch(p, BPF_JEQ, 0x60, ipv6, DROP);
	put_branch(p, BPF_JEQ, 0x40, ipv4, ipv6);
	put_insn(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xf0);
	put_insn(p, BPF_LD | BPF_B | BPF_ABS, 0, 0, (uint32_t)SKF_NET_OFF);
}

size_t
filter_build(const struct network *list, size_t n,
    struct sock_filter program[FILTER_MAX])
{
	struct program p = { .insn = program };
	unsigned int ipv4 = DROP, ipv6 = DROP;
	size_t first = 0;	/* the first of IPv6 */

	while (first < n && list[first].family == AF_INET)
		first++;
	put_returns(&p);
	if (first < n)
		ipv6 = put_source(&p, list + first, n - first);
	if (first > 0)
		ipv4 = put_source(&p, list, first);
	put_versions(&p, ipv4, ipv6);
	if (p.full)
		return 0;
	memmove(program, program + FILTER_MAX - p.n, p.n * sizeof(*program));
	return p.n;
}
