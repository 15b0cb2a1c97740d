/* SPDX-License-Identifier: ISC */
/* A program that ends well, at once, having served nobody. */
int
main(void)
{
	return 0;
}
