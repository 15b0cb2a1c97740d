/* SPDX-License-Identifier: ISC */
/* bare.c's answers by a CGI program; the pid is that of who started it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(void)
{
	const char *query = getenv("QUERY_STRING");
	char token[128] = "";
	const char *length = getenv("CONTENT_LENGTH");
	size_t want = length != NULL ? (size_t)atol(length) : 0;
	unsigned int ms = 0, size = 0;
	char *body = malloc(want + 1);

	if (body == NULL)
		return 1;
	want = fread(body, 1, want, stdin);
	if (query != NULL)
		sscanf(query, "%127s %u %u", token, &ms, &size);
	if (ms > 0)
		usleep(ms * 1000);
	printf("Content-Type: text/plain\r\n\r\n%s %d\n", token,
	    (int)getppid());
	while (size-- > 0)
		putchar('x');
	fwrite(body, 1, want, stdout);
	return 0;
}
