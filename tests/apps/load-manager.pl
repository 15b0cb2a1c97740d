#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# load.pl under FCGI::ProcManager: a parent that serves nobody and passes the
# end on to its children.
use strict;
use warnings;
use FCGI;
use FCGI::ProcManager;

my %env;
my $r = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
my $manager = FCGI::ProcManager->new({ n_processes => $ARGV[0] // 3 });

$manager->pm_manage;
while ($r->Accept() >= 0) {
	$manager->pm_pre_dispatch;
	my ($token, $ms, $size) = split / /, $env{QUERY_STRING} // '';
	my $body = '';
	read STDIN, $body, $env{CONTENT_LENGTH} if $env{CONTENT_LENGTH};
	# A kept connection that is not read to its end is closed.
	1 while read STDIN, my $rest, 4096;
	select undef, undef, undef, $ms / 1000 if $ms;
	print "Content-Type: text/plain\r\n\r\n$token $$\n",
	    'x' x ($size // 0), $body;
	$r->Finish;
	$manager->pm_post_dispatch;
}
