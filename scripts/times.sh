# shellcheck shell=sh
# SPDX-License-Identifier: ISC
#
# Sourced by what says where the time goes.

# times_sum FILE: of what a shell's times(1) has said there, how long its
# children have computed, in seconds.
times_sum()
{
	awk 'NR == 2 {
		for (i = 1; i <= 2; i++) {
			split($i, t, /[ms]/)
			sum += 60 * t[1] + t[2]
		}
	}
	END { printf "%d\n", sum }' "$1" 2>/dev/null || :
}
