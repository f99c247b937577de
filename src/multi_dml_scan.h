/*-------------------------------------------------------------------------
 *
 * multi_dml_scan.h
 *	  The custom scan that runs one statement on every bucket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MULTI_DML_SCAN_H
#define RH_MULTI_DML_SCAN_H

#include "postgres.h"
#include "nodes/extensible.h"

/* Its custom_private is a scan's (gather_scan.h). */
extern const CustomScanMethods rh_multi_dml_scan_methods;

#endif							/* RH_MULTI_DML_SCAN_H */
