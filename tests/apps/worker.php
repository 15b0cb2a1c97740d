<?php
// SPDX-License-Identifier: ISC
// The request's token, who answered, and a body.
header('Content-Type: text/plain');
header('X-Pid: ' . getmypid());
header('X-Token: ' . ($_GET['token'] ?? ''));
echo 'pid ', getmypid(), "\nchildren ", getenv('PHP_FCGI_CHILDREN'), "\n",
    str_repeat('x', (int)($_GET['big'] ?? 0));
