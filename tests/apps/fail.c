/* SPDX-License-Identifier: ISC */
/* A program that never works: it says so and exits 1, or as told. */
#include <stdio.h>
#include <stdlib.h>

int
main(int argc, char *argv[])
{
	fprintf(stderr, "fail: this program always fails\n");
	return argc > 1 ? atoi(argv[1]) : 1;
}
