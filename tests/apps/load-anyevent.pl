#!/usr/bin/perl
# SPDX-License-Identifier: ISC
# bare.c's answers by AnyEvent::FCGI: many requests at a time. The module makes
# its listen socket itself; what it does with each connection is done here for
# those of the inherited one, as AnyEvent::Socket's tcp_server does it.
use strict;
use warnings;
use AnyEvent;
use AnyEvent::FCGI;
use AnyEvent::FCGI::Connection;
use AnyEvent::Util;

my $fcgi = bless {
	connections => {},
	on_request_cb => sub {
		my ($r) = @_;
		my ($token, $ms, $size) = split / /, $r->param('QUERY_STRING');
		my $body = $r->read_stdin // '';
		my $t;

		$t = AE::timer(($ms // 0) / 1000, 0, sub {
			undef $t;
			$r->print_stdout("Content-Type: text/plain\r\n\r\n" .
			    "$token $$\n" . 'x' x ($size // 0) . $body);
			$r->finish;
		});
	},
}, 'AnyEvent::FCGI';

AnyEvent::Util::fh_nonblocking(\*STDIN, 1);
my $w = AE::io(\*STDIN, 0, sub {
	while (accept my $fh, \*STDIN) {
		AnyEvent::Util::fh_nonblocking($fh, 1);
		$fcgi->_on_accept($fh);
	}
});
AE::cv->recv;
