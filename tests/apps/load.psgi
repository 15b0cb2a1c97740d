# SPDX-License-Identifier: ISC
# bare.c's answers by PSGI.
use strict;
use warnings;

sub {
	my ($token, $ms, $size) = split / /, $_[0]->{QUERY_STRING};
	select undef, undef, undef, $ms / 1000 if $ms;
	return [200, ['Content-Type' => 'text/plain'],
	    ["$token $$\n", 'x' x ($size // 0)]];
};
