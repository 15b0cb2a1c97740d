<?php
// SPDX-License-Identifier: ISC
// The output of a command that takes its time.
header("Content-Type: text/plain");
echo shell_exec("sleep 2; echo done");
