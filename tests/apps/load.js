#!/usr/bin/env node
// SPDX-License-Identifier: ISC
// bare.c's answers by node-fastcgi: one event loop, many requests at a time.
'use strict';

const fcgi = require('node-fastcgi');

fcgi.createServer((req, res) => {
	const query = req.cgiParams.QUERY_STRING || '';
	const [token, ms, size] = query.split(' ');

	const body = [];

	req.on('data', (chunk) => body.push(chunk));
	req.on('end', () => setTimeout(() => {
		res.writeHead(200, { 'Content-Type': 'text/plain' });
		res.write(`${token} ${process.pid}\n` +
		    'x'.repeat(Number(size) || 0));
		res.end(Buffer.concat(body));
	}, Number(ms) || 0));
}).listen({ fd: 0 });
