#!/usr/bin/ruby
# SPDX-License-Identifier: ISC
# bare.c's answers by Ruby's fcgi extension.
require 'fcgi'

FCGI.each do |request|
  token, ms, size = request.env['QUERY_STRING'].to_s.split(' ')
  body = request.in.read.to_s
  sleep(ms.to_i / 1000.0) if ms.to_i > 0
  request.out.print "Content-Type: text/plain\r\n\r\n",
                    "#{token} #{Process.pid}\n", 'x' * size.to_i,
                    body
  request.finish
end
