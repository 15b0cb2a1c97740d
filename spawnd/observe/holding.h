/* SPDX-License-Identifier: ISC */
/*
 * What a process of a BSD is and holds, as sysctl(2) shows it: the same names
 * on each, of holding_SYSTEM.c or holding_none.c, and of looker_openbsd.c or
 * looker_none.c.
 */
#ifndef OBSERVE_HOLDING_H
#define OBSERVE_HOLDING_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct holding {
	unsigned int	 connections;	/* of the listen socket; unix ones only
					   while their client is there */
	uint64_t	 connection;	/* names one; 0: there is none */
	unsigned int	 others;	/* in its process group */
	bool		 stopped;	/* all its threads are */
	bool		 threaded;	/* it has more than one */
	bool		 catches;	/* it handles the signal that was
					   asked about */
};

/* To be called before the jail: remembers what the listen socket is. */
void	 holding_init(void);
/*
 * Fills *h for a process; signo is the signal that `catches` is about. With pid
 * 0 it has the connections of all processes of our user, and nothing else.
 * Returns 0, or -1: it is unknown.
 */
int	 holding_find(pid_t pid, int signo, struct holding *h);
/* A child that was in no slot has been reaped: it may be the looker. */
void	 holding_reaped(pid_t pid);
/* Ends the looker, where there is one. */
void	 holding_close(void);

/* queue_bsd.c */
/* Watches the listen socket by kqueue(2). Returns 0, or -1 with errno set. */
int	 queue_open(void);
/* Ends that. */
void	 queue_close(void);

/* OpenBSD's alone, where another process has to ask. */
/*
 * Makes that process; to be called in the jail, before pledge(2). Returns 0, or
 * -1 with errno set: then nothing is known.
 */
int	 holding_begin(void);
/* In it: as holding_find(). */
int	 holding_look(pid_t pid, int signo, struct holding *h);

#endif
