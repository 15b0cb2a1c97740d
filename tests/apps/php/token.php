<?php
// SPDX-License-Identifier: ISC
// The request's token and who answered, with an end that can be checked;
// us makes it take that many microseconds.
usleep((int)($_GET['us'] ?? 0));
header('Content-Type: text/plain');
echo 'token ', $_GET['token'] ?? '', "\n", 'pid ', getmypid(), "\nend\n";
