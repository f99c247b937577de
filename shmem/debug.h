/*-------------------------------------------------------------------------
 *
 * debug.h
 *	  Named debug points, compiled out by default (make DEBUG_POINTS=1).
 *
 * A point does nothing until it is armed, in whichever backend or worker comes
 * to it, by SQL: rehouse.debug_arm(name, action), with the actions
 *	  error   raise an error, once
 *	  wait    wait on a latch until rehouse.debug_disarm(name)
 *	  exit    end this process as kill -9 would (the postmaster resets)
 *	  fatal   end this process with FATAL, once
 * rehouse.debug_waiting(name) says whether some process waits there.
 * A point is armed for the processes of the database that it was armed in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DEBUG_H
#define RH_DEBUG_H

#ifdef REHOUSE_DEBUG_POINTS
extern void rh_debug_point(const char *name);
#else
#define rh_debug_point(name) ((void) 0)
#endif

#endif							/* RH_DEBUG_H */
