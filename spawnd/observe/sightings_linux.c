/* SPDX-License-Identifier: ISC */
/*
 * Since when accepted connections are there, which the kernel does not tell:
 * whoever lists them notes them here. A connection is as old as its first
 * sighting at least, and no older than the last list without it.
 */
#include <stdlib.h>
#include <string.h>

#include "observe/linux.h"
#include "observe/observe.h"

#define SIGHTINGS_MAX	65536	/* connections that are remembered */

static struct sighting *known;	/* sorted by inode */
static int nknown;
static uint64_t noted;		/* the last list; 0: there was none */
static uint64_t total;		/* of first sightings */

/* What is remembered of the inode, at or behind *i, which moves there. */
static const struct sighting *
advance(int *i, uint64_t inode)
{
	while (*i < nknown && known[*i].inode < inode)
		++*i;
	return *i < nknown && known[*i].inode == inode ? &known[*i] : NULL;
}

void
sightings_note(const uint64_t *inodes, int n, uint64_t now)
{
	const struct sighting *old;
	struct sighting *list = NULL;
	int i, at = 0;

	if (n > SIGHTINGS_MAX || (n > 0 &&
	    (list = reallocarray(NULL, (size_t)n, sizeof(*list))) == NULL)) {
		/* Nobody knows what of the next list was there before. */
		n = 0;
		now = 0;
	}
	for (i = 0; i < n; i++) {
		if ((old = advance(&at, inodes[i])) != NULL) {
			list[i] = *old;
			continue;
		}
		list[i] = (struct sighting){ inodes[i], now, noted };
		total++;
	}
	free(known);
	known = list;
	nknown = n;
	noted = now;
}

static int
compare_sightings(const void *a, const void *b)
{
	const struct sighting *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

const struct sighting *
sightings_find(uint64_t inode)
{
	const struct sighting key = { .inode = inode };

	return nknown == 0 ? NULL : bsearch(&key, known, (size_t)nknown,
	    sizeof(key), compare_sightings);
}

uint64_t
sightings_total(void)
{
	return total;
}
