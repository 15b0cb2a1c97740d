<?php
// SPDX-License-Identifier: ISC
// Length and hash of the request's body, then the body itself.
$body = file_get_contents('php://input');
header('Content-Type: application/octet-stream');
header('X-Length: ' . strlen($body));
header('X-Hash: ' . hash('sha256', $body));
echo $body;
