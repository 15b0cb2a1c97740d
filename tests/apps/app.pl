#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A responder in Perl: the request's token, who answered, and a body; what was
# posted comes back.
use strict;
use warnings;
use FCGI;

my $request = FCGI::Request();
while ($request->Accept() >= 0) {
	my %query = map { my ($k, $v) = split /=/, $_, 2; ($k, $v // '') }
	    split /&/, $ENV{QUERY_STRING} // '';
	my ($length, $posted) = ($ENV{CONTENT_LENGTH} || 0, '');
	while (length $posted < $length) {
		read STDIN, $posted, $length - length $posted, length $posted
		    or last;
	}
	# libfcgi closes a kept connection whose input was not read to its end.
	1 while read STDIN, my $rest, 4096;
	print "Content-Type: text/plain\r\nX-Pid: $$\r\n",
	    'X-Token: ', $query{token} // '', "\r\n\r\n";
	print $length ? $posted : "pid $$\nuid $<\n",
	    'x' x ($query{big} // 0);
}
