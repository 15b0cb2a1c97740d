/* SPDX-License-Identifier: ISC */
/* echo, linked statically: it runs in a jail that has nothing else. */
#include "echo.c"
