<?php
// SPDX-License-Identifier: ISC
// What the web server said of the request, and the process's environment.
header('Content-Type: application/json');
echo json_encode(['sapi' => PHP_SAPI, 'version' => PHP_VERSION,
    'pid' => getmypid(), 'cwd' => getcwd(),
    'server' => $_SERVER, 'get' => $_GET, 'env' => getenv()]),
    "\n";
