#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# bare.c's answers by Perl.
use strict;
use warnings;
use FCGI;

my %env;
my $r = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
while ($r->Accept() >= 0) {
	my ($token, $ms, $size) = split / /, $env{QUERY_STRING} // '';
	my $body = '';
	read STDIN, $body, $env{CONTENT_LENGTH} if $env{CONTENT_LENGTH};
	# A kept connection that is not read to its end is closed.
	1 while read STDIN, my $rest, 4096;
	select undef, undef, undef, $ms / 1000 if $ms;
	print "Content-Type: text/plain\r\n\r\n$token $$\n",
	    'x' x ($size // 0), $body;
}
