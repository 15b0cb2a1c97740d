# SPDX-License-Identifier: ISC
#
# For the OpenRC services spawnd.NAME: /etc/conf.d/spawnd is for all of them,
# /etc/conf.d/spawnd.NAME for one. Options and application of a pool are in
# @SYSCONFDIR@/spawnd/NAME.conf.

# How a stop proceeds, see start-stop-daemon(8): signals, and seconds to wait,
# which must be more than --stop-timeout.
#retry="TERM/40"

# What must run before, such as a database.
#rc_need="mariadb"

# spawnd replaces its workers itself. With this, OpenRC replaces a spawnd that
# ends, too; then the start does not wait until the pool is ready.
#supervisor=supervise-daemon
