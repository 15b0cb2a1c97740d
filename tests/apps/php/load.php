<?php
// SPDX-License-Identifier: ISC
// bare.c's answers by PHP.
[$token, $ms, $size] = explode(" ", $_SERVER["QUERY_STRING"]) + ["", 0, 0];
$body = file_get_contents("php://input");
usleep((int)$ms * 1000);
header("Content-Type: text/plain");
echo $token, " ", getmypid(), "\n", str_repeat("x", (int)$size), $body;
