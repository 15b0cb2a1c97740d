/* SPDX-License-Identifier: ISC */
/* The filter of the listen socket as a program for the kernel. */
#ifndef PRIVILEGE_FILTER_H
#define PRIVILEGE_FILTER_H

#include <linux/filter.h>

#include <stddef.h>

#include "config/config.h"

#define FILTER_MAX	BPF_MAXINSNS

/* filter_linux.c */
/*
 * Builds the program that accepts a packet, to its last byte, if one of the n
 * networks has its source, and no other. The list is sorted as network_sort()
 * does it. Returns the length of the program, or 0 if it would be longer than
 * FILTER_MAX.
 */
size_t	 filter_build(const struct network *list, size_t n,
	    struct sock_filter program[FILTER_MAX]);

#endif
