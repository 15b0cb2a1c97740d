#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# A responder in Perl: the request's token, who answered, and a body.
use strict;
use warnings;
use FCGI;

my $request = FCGI::Request();
while ($request->Accept() >= 0) {
	my %query = map { my ($k, $v) = split /=/, $_, 2; ($k, $v // '') }
	    split /&/, $ENV{QUERY_STRING} // '';
	print "Content-Type: text/plain\r\nX-Pid: $$\r\n",
	    'X-Token: ', $query{token} // '', "\r\n\r\n";
	print "pid $$\nuid $<\n", 'x' x ($query{big} // 0);
}
