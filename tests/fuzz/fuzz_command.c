/* SPDX-License-Identifier: ISC */
/* What a client sends to the daemon, in pieces of any size. */
#include "fuzz.h"
#include "proto/proto.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *buf = malloc(PROTO_COMMAND), *line = malloc(PROTO_COMMAND);
	struct proto_input in = { .buf = buf, .size = PROTO_COMMAND };
	char *words[PROTO_WORDS];
	unsigned int from, to;
	enum proto_got got;
	size_t piece;
	int i, n;

	do {
		piece = size > 0 ? data[0] % 64 + 1U : 0;
		piece = piece < size ? piece : size;
		if (piece > in.size - in.len)
			piece = in.size - in.len;
		memcpy(in.buf + in.len, data, piece);
		in.len += piece;
		data += piece;
		size -= piece;
		in.eof = size == 0;
		while ((got = proto_next(&in, line)) == PROTO_GOT) {
			n = proto_words(line, words, PROTO_WORDS);
			for (i = 0; i < n; i++)
				proto_range(words[i], 1000, &from, &to);
		}
	} while (size > 0 && (got == PROTO_NONE || got == PROTO_JUNK));
	free(buf);
	free(line);
	return 0;
}
