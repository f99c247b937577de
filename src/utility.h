/*-------------------------------------------------------------------------
 *
 * utility.h
 *	  The ProcessUtility hook: utility statements on distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_UTILITY_H
#define RH_UTILITY_H

extern void rh_utility_init(void);

#endif							/* RH_UTILITY_H */
